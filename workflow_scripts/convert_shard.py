"""Convert one shard of HDF5 samples to npy files."""

import argparse
from pathlib import Path

from deepcam import cli
from deepcam.config_types import Positive, argument
from deepcam.data import convert


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="manifest of the HDF5 shard")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder of the npy shard to write")
    parser.add_argument(
        "--threads", type=argument(Positive), required=True, help="number of files to convert in parallel"
    )
    parser.add_argument("--remove-hdf5", action="store_true", help="remove HDF5 files after verifying the npy files")
    arguments = parser.parse_args()
    convert.convert_shard(arguments.manifest, arguments.output_dir, arguments.threads, not arguments.remove_hdf5)


if __name__ == "__main__":
    cli.run(main)
