"""Draw the throughput figure of one mode from the summary table."""

import argparse
from pathlib import Path

import pandas as pd
from deepcam import cli, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["io", "inference"], required=True)
    parser.add_argument("--summary", type=Path, required=True, help="summary.parquet")
    parser.add_argument("--svg", type=Path, required=True)
    parser.add_argument("--png", type=Path, required=True)
    args = parser.parse_args()
    draw = {"io": figures.io_throughput, "inference": figures.inference_throughput}[args.mode]
    figures.save(draw(pd.read_parquet(args.summary)), args.svg, args.png)


if __name__ == "__main__":
    cli.run(main)
