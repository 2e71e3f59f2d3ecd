"""Measure one cell: one process per rank, under an MPI launcher.

mpirun -n 2 python -m mpi4py workflow_scripts/run_benchmark.py --mode io --reader dali-mmap --cache warm ...
"""

import argparse
from pathlib import Path

from deepcam import benchmark, cli
from deepcam.grid import NONE, Cell
from deepcam.readers import MODULES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json; file names in it are relative to it")
    parser.add_argument("--outputfile", type=Path, required=True, help="the record, JSON")
    parser.add_argument("--mode", choices=["io", "compute", "inference"], required=True)
    parser.add_argument("--reader", choices=[*MODULES, NONE], default=NONE)
    parser.add_argument("--cache", choices=["cold", "warm", NONE], default=NONE, help="state of the page cache")
    parser.add_argument("--engine", default=NONE, help="name of the engine, for the record")
    parser.add_argument("--devices", nargs="+", default=["cpu"], help="of a node, in turn for its ranks: cpu or cuda:N")
    parser.add_argument("--engine-files", type=Path, nargs="*", default=[], help="one per device, in order")
    parser.add_argument("--accuracy-files", type=Path, nargs="*", default=[], help="the engine's verdicts, likewise")
    parser.add_argument("--ranks", type=int, required=True, help="ranks that the launcher was asked for")
    parser.add_argument("--batch-size", type=int, required=True, help="global: of all ranks together")
    parser.add_argument("--max-inter-threads", type=int, default=1, help="samples in flight per rank")
    parser.add_argument("--max-intra-threads", type=int, default=1, help="parallel chunks within one sample")
    parser.add_argument("--num-warmup-runs", type=int, default=1)
    parser.add_argument("--num-runs", type=int, default=5)
    parser.add_argument("--min-seconds", type=float, default=0.0, help="a warm or compute run lasts at least this long")
    args = parser.parse_args()
    if args.batch_size < args.ranks or args.batch_size % args.ranks:
        parser.error(f"--batch-size {args.batch_size} is not a multiple of --ranks {args.ranks}")
    cell = Cell(
        args.mode, args.reader, args.cache, args.engine, args.ranks, args.batch_size // args.ranks,
        args.max_inter_threads, args.max_intra_threads,
    )  # fmt: skip
    benchmark.run(
        cell,
        dataset=args.dataset,
        devices=args.devices,
        engine_files=args.engine_files,
        accuracy_files=args.accuracy_files,
        settings=benchmark.Settings(args.num_warmup_runs, args.num_runs, args.min_seconds),
        output=args.outputfile,
    )


if __name__ == "__main__":
    cli.run(main)
