"""Download one shard of HDF5 samples."""

import argparse
from pathlib import Path

from deepcam import cli
from deepcam.config_types import Length, Natural, Positive, Source, argument
from deepcam.data import download, file_index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index of all samples")
    parser.add_argument("--shard", type=argument(Natural), required=True, help="number of the shard, from 0")
    parser.add_argument("--files-per-shard", type=argument(Positive), required=True, help="samples per shard")
    parser.add_argument("--source", type=argument(Source, str), required=True, help="'nersc' or an http(s) URL")
    parser.add_argument(
        "--streams",
        type=argument(Positive),
        required=True,
        help="parallel connections; more than 4 may get this address blocked",
    )
    parser.add_argument("--height", type=argument(Length), required=True, help="rows that a sample must have")
    parser.add_argument("--width", type=argument(Length), required=True, help="columns that a sample must have")
    parser.add_argument("--npy-dir", type=Path, help="npy folder of the shard; its files are not fetched again")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder of the HDF5 shard to write")
    arguments = parser.parse_args()
    sample_paths = file_index.shard_paths(file_index.read(arguments.index), arguments.shard, arguments.files_per_shard)
    download.download_shard(
        arguments.source,
        sample_paths,
        arguments.output_dir,
        streams=arguments.streams,
        shape=(arguments.height, arguments.width),
        npy_dir=arguments.npy_dir,
    )


if __name__ == "__main__":
    cli.run(main)
