"""Write the results page: what limits inference, how sure that is, the best results, and what is not valid.

Another file says the same for programs.
"""

from pathlib import Path

import yaml
from deepcam import cli, config, files
from deepcam.record import run_records, store
from deepcam.record.compact import Compact
from deepcam.report import result_file, summary_page
from deepcam.report.tables import Tables


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True, help="folder with the tables")
    parser.add_argument("--records", type=Path, required=True, help="the list of the run's records, one path per line")
    parser.add_argument("--config", type=Path, required=True, help="the configuration that was used")
    parser.add_argument("--output", type=Path, required=True, help="HTML file")
    parser.add_argument("--result", type=Path, required=True, help="the same for programs, JSON")
    args = parser.parse_args()
    records = run_records.read(args.records)
    settings = config.parse(yaml.safe_load(args.config.read_text(encoding="utf-8")))
    page = summary_page.gather(
        Tables.read(args.tables),
        [*map(Compact(), store.read_each(records.present))],
        len(records.missing),
        settings.benchmark.precision,
    )
    files.write_text(args.output, summary_page.render(page))
    files.write_json(args.result, result_file.result(page).model_dump(mode="json"))


if __name__ == "__main__":
    cli.run(main)
