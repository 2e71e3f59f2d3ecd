"""Write the index of a source's first N samples, and the channel statistics that the source publishes."""

from pathlib import Path

from deepcam import cli, paths
from deepcam.config.types import Length, NumFiles, Source, argument
from deepcam.data import archive_statistics, download, file_index, linked_shard, local_source
from deepcam.data.dataset import Channel


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        "--source", type=argument(Source, str), required=True, help="'synthetic', 'nersc', a path or an http(s) URL"
    )
    parser.add_argument("--split", required=True, help="folder of the source, such as validation, or 'all'")
    parser.add_argument(
        "--num-files", type=argument(NumFiles), required=True, help="number of samples to list, or 'all'"
    )
    parser.add_argument("--height", type=argument(Length), required=True, help="rows that a sample must have")
    parser.add_argument("--width", type=argument(Length), required=True, help="columns that a sample must have")
    parser.add_argument("--output", type=Path, required=True, help="index to write")
    parser.add_argument("--statistics", type=Path, required=True, help="statistics to write, JSON; null if none exist")
    arguments = parser.parse_args()
    source, asked = arguments.source, (arguments.source, arguments.split, arguments.num_files)
    found: list[Channel] | None = None
    if paths.is_local(source):
        sample_paths = local_source.sample_paths(*asked)
        if local_source.kind_of(sample_paths[0]) == "hdf5":
            linked_shard.check(sample_paths, (arguments.height, arguments.width))
        found = archive_statistics.read_local(source)
    else:
        sample_paths = download.index_paths(*asked)
        if source != "synthetic":
            found = archive_statistics.fetch_statistics(download.base_url(source))
    file_index.write(arguments.output, sample_paths)
    archive_statistics.write(arguments.statistics, found)


if __name__ == "__main__":
    cli.run(main)
