"""Describe a finished npy data set in dataset.json."""

import argparse
import json
from pathlib import Path

from deepcam import cli, files
from deepcam.data import description


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--npy-dir", type=Path, required=True, help="folder of the npy shards")
    parser.add_argument("--shards", type=int, required=True, help="number of shards")
    parser.add_argument("--source", required=True, help="where the samples are from")
    parser.add_argument("--threads", type=int, required=True, help="files read at a time")
    parser.add_argument("--statistics", type=Path, required=True, help="the archive's statistics; null: compute them")
    parser.add_argument("--allow-nonfinite", action="store_true", help="count values that are not finite, go on")
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write")
    arguments = parser.parse_args()
    described = description.describe(
        arguments.npy_dir,
        arguments.shards,
        arguments.source,
        arguments.threads,
        arguments.output.parent,
        json.loads(arguments.statistics.read_text()),
        arguments.allow_nonfinite,
    )
    files.write_json(arguments.output, described)


if __name__ == "__main__":
    cli.run(main)
