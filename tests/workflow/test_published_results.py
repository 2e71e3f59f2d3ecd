"""Published bundles in share/results: anonymised, small, and the source of the numbers in the README."""

import re
import tarfile
from pathlib import Path

import example_numbers
import pytest
from deepcam import config, paths
from deepcam.report import bundle
from deepcam.report.comparison import archive, sides
from record_example import node
from results_example import GRID, measured, write
from test_documents import ROOT

PUBLISHED = sorted((ROOT / bundle.PUBLISHED).glob("*.tar.gz"))
SUMMARY = paths.table("summary.csv")
MOST_BYTES = 2_000_000


def problems(published):
    """What is wrong with a bundle that everybody can download, a line each."""
    found = [] if published.stat().st_size <= MOST_BYTES else [f"more than {MOST_BYTES:,} bytes"]
    names = [str(path) for path, _ in archive.members(published, re.compile(".*"))]
    found += [f"{name} is not a result" for name in names if re.search("model_part|predictions|workflow_scripts", name)]
    results = sides.read(published)
    for record in results.all_records():
        environment = record.environment
        found += [f"{node.name} is a name" for node in environment.nodes if not re.fullmatch(r"node-\d+", node.name)]
    config.parse(results.config or {})
    return found


def summary(published):
    """The bytes of its table of all configurations."""
    [(_, content)] = archive.members(published, re.compile(f"[^/]+/{SUMMARY}"))
    return content


@pytest.mark.parametrize("published", PUBLISHED, ids=[path.name for path in PUBLISHED])
def test_a_published_bundle_is_small_anonymised_and_can_be_compared(published):
    assert problems(published) == []


@pytest.mark.skipif(not PUBLISHED, reason="share/results has no bundle")
def test_the_numbers_of_the_readme_are_those_of_a_published_bundle():
    assert example_numbers.TABLE.read_bytes() in map(summary, PUBLISHED), (
        f"no bundle in {bundle.PUBLISHED} has the table {example_numbers.TABLE.name} of share/example: copy "
        f"{SUMMARY} of the bundle there, and run python tests/example_numbers.py"
    )


@pytest.fixture
def made(tmp_path):
    """A function that makes a bundle of results of a host, with another file if one is named."""

    def make(host, *others):
        write(tmp_path, {GRID[0]: [measured(GRID[0], nodes=[node(host)])]}, {"devices": "cpu"})
        for name in (SUMMARY, *others):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"a,b\n")
        with tarfile.open(tmp_path / "made.tar.gz", "w:gz") as archive:
            for path in filter(Path.is_file, [*tmp_path.glob("results/**/*"), *tmp_path.glob("share/*")]):
                archive.add(path, f"{bundle.TOP}/{path.relative_to(tmp_path)}")
        return tmp_path / "made.tar.gz"

    return make


def test_a_name_weights_and_size_are_found(made, monkeypatch):
    good = made("node-1")
    assert problems(good) == [] and summary(good) == b"a,b\n"
    assert problems(made("vm")) == ["vm is a name"]
    monkeypatch.setattr("test_published_results.MOST_BYTES", 100)
    assert problems(made("node-1", "share/model_part_aa")) == [
        "more than 100 bytes", f"{bundle.TOP}/share/model_part_aa is not a result",
    ]  # fmt: skip
