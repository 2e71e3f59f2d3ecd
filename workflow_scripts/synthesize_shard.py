"""Make one shard of synthetic HDF5 samples."""

import argparse
from pathlib import Path

from deepcam import cli
from deepcam.config_types import Length, Natural, Positive, Seed, argument
from deepcam.data import file_index, synthesis


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index of all samples")
    parser.add_argument("--shard", type=argument(Natural), required=True, help="number of the shard, from 0")
    parser.add_argument("--files-per-shard", type=argument(Positive), required=True, help="samples per shard")
    parser.add_argument("--height", type=argument(Length), required=True, help="rows of a sample")
    parser.add_argument("--width", type=argument(Length), required=True, help="columns of a sample")
    parser.add_argument("--seed", type=argument(Seed), required=True, help="seed of the dataset")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder of the HDF5 shard to write")
    parser.add_argument(
        "--processes", type=argument(Positive), required=True, help="number of samples to make in parallel"
    )
    arguments = parser.parse_args()
    sample_paths = file_index.shard_paths(file_index.read(arguments.index), arguments.shard, arguments.files_per_shard)
    synthesis.synthesize_shard(
        [file_index.file_name(path) for path in sample_paths],
        arguments.shard * arguments.files_per_shard,
        arguments.output_dir,
        seed=arguments.seed,
        height=arguments.height,
        width=arguments.width,
        processes=arguments.processes,
    )


if __name__ == "__main__":
    cli.run(main)
