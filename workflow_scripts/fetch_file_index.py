"""Write the sorted list of the first N samples of a source, and the statistics that the source itself gives."""

import argparse
from pathlib import Path

from deepcam import cli, files
from deepcam.data import archive_statistics, download, index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="'synthetic', 'nersc' or an http(s) URL")
    parser.add_argument("--split", required=True, help="folder of the source, such as validation, or 'all'")
    parser.add_argument("--num-files", type=_count, required=True, help="samples to list, or 'all'")
    parser.add_argument("--output", type=Path, required=True, help="index to write")
    parser.add_argument("--statistics", type=Path, required=True, help="statistics to write, JSON; null without any")
    arguments = parser.parse_args()
    sample_paths = download.index_paths(arguments.source, arguments.split, arguments.num_files)
    synthetic = arguments.source == "synthetic"
    found = None if synthetic else archive_statistics.fetch_statistics(download.base_url(arguments.source))
    index.write(arguments.output, sample_paths)
    files.write_json(arguments.statistics, found)


def _count(text: str) -> int | str:
    return text if text == "all" else int(text)


if __name__ == "__main__":
    cli.run(main)
