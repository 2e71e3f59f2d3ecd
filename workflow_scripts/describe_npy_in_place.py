"""Describe npy samples that are already on this site's storage in dataset.json, and leave them where they are."""

from pathlib import Path

from deepcam import cli
from deepcam.config.types import Length, Positive, Source, argument
from deepcam.data import archive_statistics, file_index, npy_in_place


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index of all samples")
    parser.add_argument(
        "--source", type=argument(Source, str), required=True, help="where the samples come from, for the record"
    )
    parser.add_argument("--height", type=argument(Length), required=True, help="rows that a sample must have")
    parser.add_argument("--width", type=argument(Length), required=True, help="columns that a sample must have")
    parser.add_argument("--threads", type=argument(Positive), required=True, help="number of files to read in parallel")
    parser.add_argument("--without-labels", action="store_true", help="do not read labels; they need not exist")
    parser.add_argument(
        "--statistics", type=Path, required=True, help="JSON file of the archive's statistics, or null to compute them"
    )
    parser.add_argument(
        "--allow-nonfinite", action="store_true", help="count values that are not finite instead of stopping"
    )
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write")
    arguments = parser.parse_args()
    npy_in_place.describe(
        file_index.read(arguments.index),
        arguments.source,
        (arguments.height, arguments.width),
        arguments.threads,
        with_labels=not arguments.without_labels,
        statistics=archive_statistics.read(arguments.statistics),
        allow_nonfinite=arguments.allow_nonfinite,
    ).write(arguments.output)


if __name__ == "__main__":
    cli.run(main)
