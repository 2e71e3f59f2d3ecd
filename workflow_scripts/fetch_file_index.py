"""Write the sorted index of a source's first N samples, and the channel statistics that the source publishes."""

import argparse
from pathlib import Path

from deepcam import cli
from deepcam.config_types import NumFiles, Source, argument
from deepcam.data import archive_statistics, download, file_index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", type=argument(Source, str), required=True, help="'synthetic', 'nersc' or an http(s) URL"
    )
    parser.add_argument("--split", required=True, help="folder of the source, such as validation, or 'all'")
    parser.add_argument(
        "--num-files", type=argument(NumFiles), required=True, help="number of samples to list, or 'all'"
    )
    parser.add_argument("--output", type=Path, required=True, help="index to write")
    parser.add_argument("--statistics", type=Path, required=True, help="statistics to write, JSON; null if none exist")
    arguments = parser.parse_args()
    sample_paths = download.index_paths(arguments.source, arguments.split, arguments.num_files)
    synthetic = arguments.source == "synthetic"
    found = None if synthetic else archive_statistics.fetch_statistics(download.base_url(arguments.source))
    file_index.write(arguments.output, sample_paths)
    archive_statistics.write(arguments.statistics, found)


if __name__ == "__main__":
    cli.run(main)
