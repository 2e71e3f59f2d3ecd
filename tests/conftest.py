"""Tests marked `gpu` need a CUDA device and are skipped without one. None but those of Slurm see a Slurm."""

import os

import pytest

# Snakemake's plugin asks Slurm's clients at every start, and without a configuration these look for one for a minute.
os.environ["SLURM_CONF"] = os.devnull


def pytest_collection_modifyitems(items):
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
