"""What tests need of the machine: those marked `gpu` a CUDA device, those that evict files a disk.

None but those of Slurm see a Slurm.
"""

import os
import sys
from pathlib import Path

import pytest
from servers import missing

# Snakemake's plugin asks Slurm's clients at every start, and without a configuration these look for one for a minute.
os.environ["SLURM_CONF"] = os.devnull


@pytest.fixture
def disk(tmp_path):
    """A temporary folder whose files can be evicted from the page cache."""
    if os.popen(f"stat -f -c %T {tmp_path}").read().strip() == "tmpfs":
        pytest.skip("the temporary folder is on tmpfs, which cannot evict; set TMPDIR to a disk")
    return tmp_path


@pytest.fixture(scope="session")
def mpich():
    """The folder of an MPICH beside this environment, whose Open MPI it would replace otherwise."""
    folder = Path(sys.prefix) / "mpich"
    if not (folder / "bin/mpiexec").exists():
        missing(f"MPICH is missing: pip install --ignore-installed --no-deps --prefix {folder} mpich")
    return folder


def pytest_collection_modifyitems(items):
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
