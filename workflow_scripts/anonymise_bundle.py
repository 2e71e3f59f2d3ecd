"""Make an anonymised bundle, which can be sent to others, from a bundle.

It has other names for hosts, servers, mounts, paths and accounts. It has no weights, no files of the workflow, and no
predictions, which show samples. Tables, figures and pages are made again from the anonymised records.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

import yaml
from deepcam import cli, config, paths
from deepcam.config import Config
from deepcam.data.dataset import Dataset
from deepcam.errors import InputError
from deepcam.record import store
from deepcam.report import bundle
from deepcam.report.anonymised import Anonymiser
from deepcam.report.comparison import archive

SNAKEFILE = Path(__file__).resolve().parents[1] / "Snakefile"

DATASET = paths.dataset(paths.DATA)

READ = re.compile(
    rf"{bundle.TOP}/(?:{paths.RESULTS}/benchmark/(?:[^/]+/)?[^/]+\.json|{paths.RESULTS}/accuracy/.+\.json"
    rf"|{re.escape(paths.CONFIG)}|{re.escape(DATASET)})"
)
"""The files that are read from the bundle. Everything else is made from them, or is left out."""


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("bundle", type=Path, help="a bundle that make bundle or make keep has made")
    parser.add_argument("--output", type=Path, required=True, help="bundle to write, .tar.gz")
    args = parser.parse_args()
    members = {path.relative_to(bundle.TOP): content for path, content in archive.members(args.bundle, READ)}
    for name in (paths.CONFIG, DATASET):
        if PurePosixPath(name) not in members:
            raise InputError(f"{args.bundle}: has no {name}; give a bundle that make bundle or make keep has made")
    output = args.output.absolute()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        settings = _write(members, args.bundle)
        _make_report()
        results = sorted(path for path in Path(paths.RESULTS).rglob("*") if path.is_file())
        made = [path for path in results if path.parts[1] not in ("data", "logs")]
        kind = "cpu" if settings.devices == "cpu" else "gpu"
        bundle.write(None, Path(paths.CONFIG), Path(DATASET), made, output, kind)


def _write(members: dict[PurePosixPath, bytes], source: Path) -> Config:
    """Write the members to the working directory, anonymised, and return their configuration."""
    records = {path: store.parse(content, source / path) for path, content in members.items() if path.stem.isdecimal()}
    names = Anonymiser(list(records.values()))
    settings = names.config(config.parse(yaml.safe_load(members.pop(PurePosixPath(paths.CONFIG)))))
    dataset = names.dataset(Dataset.model_validate_json(members.pop(PurePosixPath(DATASET))))
    for path, content in members.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if path not in records:
            Path(path).write_bytes(content)
        elif any(
            check.name in ("record_digest", "record_unverified") and not check.ok for check in records[path].checks
        ):
            # Without a digest of its own: nobody can tell any more what was edited.
            Path(path).write_text(names.record(records[path]).model_dump_json(), encoding="utf-8")
        else:
            store.write(names.record(records[path]), Path(path))
    complete = settings.model_dump(mode="json", exclude_none=True)
    Path("config.yaml").write_text(yaml.safe_dump(complete), encoding="utf-8")
    dataset.write(Path(DATASET))
    return settings


def _make_report() -> None:
    """Make tables, figures and pages of the records in the working directory."""
    profile = SNAKEFILE.parent / "profiles/default"
    command = ["--snakefile", SNAKEFILE, "--workflow-profile", profile, "--configfile", "config.yaml"]
    ended = subprocess.run(
        [sys.executable, "-m", "snakemake", *command, "--", "figures"],
        env=os.environ | {"DEEPCAM_REPORT_ONLY": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if ended.returncode:
        print(ended.stdout, file=sys.stderr)
        raise InputError("the report of the anonymised records was not made; see the messages above")


if __name__ == "__main__":
    cli.run(main)
