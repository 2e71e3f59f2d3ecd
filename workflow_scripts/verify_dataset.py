"""Hash the data set again, name what differs from its manifests, and leave it for the next run to repair."""

import argparse
from pathlib import Path

from deepcam import cli
from deepcam.data import verify


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json, removed if anything is wrong")
    parser.add_argument("--hdf5-dir", type=Path, required=True, help="folder of the HDF5 shards")
    parser.add_argument("--npy-dir", type=Path, required=True, help="folder of the npy shards")
    parser.add_argument("--shards", type=int, required=True, help="number of shards")
    parser.add_argument("--threads", type=int, required=True, help="files read at a time")
    parser.add_argument("--hdf5-removed", action="store_true", help="the HDF5 files are gone on purpose")
    arguments = parser.parse_args()
    verify.verify(
        arguments.dataset,
        arguments.hdf5_dir,
        arguments.npy_dir,
        arguments.shards,
        arguments.threads,
        not arguments.hdf5_removed,
    )


if __name__ == "__main__":
    cli.run(main)
