"""Link one shard of HDF5 samples that are already on this site's storage."""

from pathlib import Path

from deepcam import cli
from deepcam.config.types import Length, Natural, Positive, argument
from deepcam.data import file_index, linked_shard


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index of all samples")
    parser.add_argument("--shard", type=argument(Natural), required=True, help="number of the shard, from 0")
    parser.add_argument("--files-per-shard", type=argument(Positive), required=True, help="samples per shard")
    parser.add_argument("--height", type=argument(Length), required=True, help="rows that a sample must have")
    parser.add_argument("--width", type=argument(Length), required=True, help="columns that a sample must have")
    parser.add_argument("--threads", type=argument(Positive), required=True, help="number of files to hash in parallel")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder of the shard to write")
    arguments = parser.parse_args()
    linked_shard.link_shard(
        file_index.shard_paths(file_index.read(arguments.index), arguments.shard, arguments.files_per_shard),
        arguments.output_dir,
        (arguments.height, arguments.width),
        arguments.threads,
    )


if __name__ == "__main__":
    cli.run(main)
