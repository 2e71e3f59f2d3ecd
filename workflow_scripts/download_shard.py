"""Download one shard of HDF5 samples."""

import argparse
from pathlib import Path

from deepcam import cli, download, manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index of all HDF5 names")
    parser.add_argument("--shard", type=int, required=True, help="number of the shard, from 0")
    parser.add_argument("--files-per-shard", type=int, required=True, help="samples per shard")
    parser.add_argument("--source", required=True, help="'nersc' or an http(s) URL")
    parser.add_argument("--split", required=True, help="folder of the source, such as validation")
    parser.add_argument(
        "--streams", type=int, required=True, help="connections at a time; more than 4 may get the address banned"
    )
    parser.add_argument("--output-dir", type=Path, required=True, help="folder of the shard")
    arguments = parser.parse_args()
    names = manifest.shard(manifest.read_index(arguments.index), arguments.shard, arguments.files_per_shard)
    download.download_shard(arguments.source, arguments.split, names, arguments.output_dir, arguments.streams)


if __name__ == "__main__":
    cli.run(main)
