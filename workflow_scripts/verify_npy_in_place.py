"""Hash npy samples where they are, and compare them with the hashes of an earlier verification."""

from pathlib import Path

from deepcam import cli
from deepcam.config.types import Positive, argument
from deepcam.data import npy_in_place, verify


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json of the samples")
    parser.add_argument("--hashes", type=Path, required=True, help="file of hashes, to which new files are added")
    parser.add_argument("--threads", type=argument(Positive), required=True, help="number of files to read in parallel")
    parser.add_argument("--copies", type=Path, nargs="*", default=[], help="dataset.json of each other place")
    arguments = parser.parse_args()
    npy_in_place.verify(arguments.dataset, arguments.hashes, arguments.threads)
    verify.verify_copies(arguments.copies, arguments.threads)


if __name__ == "__main__":
    cli.run(main)
