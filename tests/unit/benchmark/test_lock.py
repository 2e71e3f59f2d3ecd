"""A lock that is shared by all users of a machine."""

import os
import tempfile
from pathlib import Path

import pytest
from deepcam import files

NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="taking another user's place needs root")
def test_a_lock_file_of_another_user_can_be_locked():
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
