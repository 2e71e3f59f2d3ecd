"""Write the sorted names of the first N samples of a source."""

import argparse
from pathlib import Path

from deepcam import cli, download, manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="'synthetic', 'nersc' or an http(s) URL")
    parser.add_argument("--split", required=True, help="folder of the source, such as validation")
    parser.add_argument("--num-files", type=int, required=True, help="samples to list")
    parser.add_argument("--output", type=Path, required=True, help="index to write")
    arguments = parser.parse_args()
    names = download.index_names(arguments.source, arguments.split, arguments.num_files)
    manifest.write_index(arguments.output, names)


if __name__ == "__main__":
    cli.run(main)
