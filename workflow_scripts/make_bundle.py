"""Pack a run's records and results with the workflow that made them."""

from pathlib import Path

from deepcam import cli
from deepcam.record import run_records
from deepcam.report import bundle


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--code", type=Path, required=True, help="folder of the workflow")
    parser.add_argument("--kind", choices=["cpu", "gpu"], required=True, help="environment that it runs in")
    parser.add_argument("--records", type=Path, required=True, help="the list of the run's records, one path per line")
    parser.add_argument("--config", type=Path, required=True, help="the complete configuration of the run, YAML")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--files", type=Path, nargs="+", required=True, help="other result files to pack")
    parser.add_argument("--output", type=Path, required=True, help="bundle to write, .tar.gz")
    args = parser.parse_args()
    present = run_records.read(args.records).present
    made = [args.records, args.config, *present, *args.files]
    bundle.write(args.code, args.config, args.dataset, made, args.output, args.kind)


if __name__ == "__main__":
    cli.run(main)
