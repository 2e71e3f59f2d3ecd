"""Draw how the masks that an engine predicted for a few samples differ from the true masks."""

from pathlib import Path

from deepcam import cli
from deepcam.data import dataset
from deepcam.record import predictions
from deepcam.report import tables
from deepcam.report.figures import predictions as figure
from deepcam.report.figures import style


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--predictions", type=Path, required=True, help="npz file written by predict_samples")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--svg", type=Path, required=True)
    parser.add_argument("--png", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    made = predictions.load(arguments.predictions)
    style.save(figure.figure(made, dataset.read_description(arguments.dataset).source), arguments.svg, arguments.png)
    tables.write(figure.table(made), arguments.csv)


if __name__ == "__main__":
    cli.run(main)
