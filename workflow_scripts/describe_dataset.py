"""Describe a finished npy dataset in dataset.json: samples, channel statistics and class fractions."""

from pathlib import Path

from deepcam import cli
from deepcam.config.types import Positive, Source, argument
from deepcam.data import archive_statistics, description


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--npy-dir", type=Path, required=True, help="folder of the npy shards")
    parser.add_argument("--shards", type=argument(Positive), required=True, help="number of shards")
    parser.add_argument(
        "--source", type=argument(Source, str), required=True, help="where the samples come from, for the record"
    )
    parser.add_argument("--threads", type=argument(Positive), required=True, help="number of files to read in parallel")
    parser.add_argument(
        "--statistics",
        type=Path,
        required=True,
        help="JSON file with the archive's statistics; if it contains null, the statistics are computed",
    )
    parser.add_argument(
        "--allow-nonfinite", action="store_true", help="count values that are not finite instead of stopping"
    )
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write")
    arguments = parser.parse_args()
    description.describe(
        arguments.npy_dir,
        arguments.shards,
        arguments.source,
        arguments.threads,
        arguments.output.parent,
        archive_statistics.read(arguments.statistics),
        arguments.allow_nonfinite,
    ).write(arguments.output)


if __name__ == "__main__":
    cli.run(main)
