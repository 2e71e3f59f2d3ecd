"""A lock that all users of a machine share."""

import os
import tempfile
from pathlib import Path

import pytest
from deepcam import files

NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="taking another user's place needs root")
def test_a_lock_that_another_user_has_left_can_be_held():
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o1777)
        with files.locked(f"{name}/machine.lock"):
            pass
        child = os.fork()
        if child == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            try:
                with files.locked(f"{name}/machine.lock"):
                    os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert status == 0
