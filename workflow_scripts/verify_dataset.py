"""Hash all files of a dataset and compare them with the manifests. The next run repairs wrong files."""

from pathlib import Path

from deepcam import cli
from deepcam.config.types import Positive, argument
from deepcam.data import verify


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json; removed if any file is wrong")
    parser.add_argument("--hdf5-dir", type=Path, required=True, help="folder of the HDF5 shards")
    parser.add_argument("--npy-dir", type=Path, required=True, help="folder of the npy shards")
    parser.add_argument("--shards", type=argument(Positive), required=True, help="number of shards")
    parser.add_argument("--threads", type=argument(Positive), required=True, help="number of files to read in parallel")
    parser.add_argument("--hdf5-removed", action="store_true", help="skip the HDF5 files, which have been removed")
    parser.add_argument("--copies", type=Path, nargs="*", default=[], help="dataset.json of each other place")
    arguments = parser.parse_args()
    verify.verify(
        arguments.dataset,
        arguments.hdf5_dir,
        arguments.npy_dir,
        arguments.shards,
        arguments.threads,
        not arguments.hdf5_removed,
    )
    verify.verify_copies(arguments.copies, arguments.threads)


if __name__ == "__main__":
    cli.run(main)
