"""Runs that measure the same samples on two storages, which are two folders of one disk here."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import site_example
import tiny_run

ROOT = Path(__file__).parents[2]
SHAPE = (96, 144)  # config/tiny.yaml's


def command(folder, *targets, **data):
    """Snakemake's arguments for the tiny configuration on two places, with cold I/O-only and end-to-end runs."""
    places = {"first": str(folder / "a, b's=1"), "second.2": 'local/"second"'}
    small = {
        "modes": ["io", "compute", "inference"],
        "readers": ["pread"],
        "cache": ["cold"],
        "ranks": [1],
        "inter_threads": [1],
        "min_starts": 3,
        "max_starts": 3,
        "per_mode": {"inference": {"engines": ["eager-fp32"]}},
    }
    overlay = {
        "data": {"dir": places, "num_files": 3, "files_per_shard": 2} | data,
        "benchmark": small,
        "engines": [{"backend": "eager", "precision": "fp32"}],
    }
    return tiny_run.arguments(folder, overlay, *targets)


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=900)


def snakemake(folder, *targets, **data):
    ended = run("-m", "snakemake", *command(folder, *targets, **data))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def dataset(folder):
    return json.loads((folder / "dataset.json").read_text())


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory):
    """A folder with a finished run."""
    folder = tmp_path_factory.mktemp("places") / "run"
    snakemake(folder)
    return folder


def test_both_places_have_the_same_samples(folder):
    first, second = folder / "a, b's=1", folder / 'local/"second"'
    names = sorted(path.relative_to(first) for path in first.glob("npy/shard-*/data-*.npy"))
    assert (
        names == sorted(path.relative_to(second) for path in second.glob("npy/shard-*/data-*.npy")) and len(names) == 3
    )
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert not list(second.rglob("label-*")) and not list(second.rglob("*.h5"))
    hashes = [[sample["sha256"] for sample in dataset(place)["samples"]] for place in (first, second)]
    assert hashes[0] == hashes[1]


def test_all_starts_are_in_the_same_rounds(folder):
    found = [json.loads(path.read_text()) for path in folder.glob("results/benchmark/*/*.json")]
    cells = {(one["cell"]["mode"], one["cell"]["storage"]) for one in found}
    assert cells == {
        ("compute", ""),
        *((mode, place) for mode in ("io", "inference") for place in ("first", "second.2")),
    }
    for number in range(3):
        assert len([one for one in found if one["start"]["round"] == number]) == len(cells)
    assert not [
        check for one in found for check in one["checks"] if check["name"] == "delivered_bytes" and not check["ok"]
    ]


def test_the_report_compares_the_places(folder):
    summary = pd.read_csv(folder / "results/tables/summary.csv", keep_default_na=False)
    assert set(summary["storage"]) == {"", "first", "second.2"}
    compared = pd.read_csv(folder / "results/tables/storages.csv")
    assert set(compared["mode"]) == {"io", "inference"} and set(compared["a_starts"]) == set(compared["b_starts"]) == {
        3
    }
    assert {*compared["a"], *compared["b"]} == {"first", "second.2"}
    assert (folder / "results/figures/storage_ratio.svg").exists()
    assert "first" in (folder / "results/explorer.html").read_text()
    page = (folder / "results/summary.html").read_text()
    assert "not everything was measured on the same kind of node" not in page
    if json.loads((folder / "results/result.json").read_text())["valid"] == len(summary):
        assert "Storages side by side" in page


def test_a_second_run_and_its_plan_have_nothing_to_do(folder):
    assert "Nothing to be done" in snakemake(folder)
    ended = run(ROOT / "workflow_scripts/plan_run.py", *command(folder))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 bytes more in " in ended.stdout and "which together have" in ended.stdout
    assert " 0 jobs" not in ended.stdout and "at least 0 to make" in ended.stdout


def test_a_damaged_copy_is_found_and_replaced(folder):
    (path,) = (folder / 'local/"second"').glob("npy/shard-00001/data-*.npy")
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))
    ended = run("-m", "snakemake", *command(folder, "verify"))
    assert ended.returncode == 1
    assert f"1 of 3 copies were damaged or missing, the first {path.relative_to(folder)}" in ended.stdout + ended.stderr
    snakemake(folder, "data")
    assert path.read_bytes() == content
    snakemake(folder, "verify")


def test_npy_files_of_a_site_stay_where_they_are_and_are_copied_to_the_other_place(tmp_path):
    for number in range(3):
        site_example.npy(tmp_path / f"site/data-{number}.npy", SHAPE)
    before = site_example.state(tmp_path / "site")
    folder, source = tmp_path / "run", str(tmp_path / "site")
    ended = run(ROOT / "workflow_scripts/plan_run.py", *command(folder, source=source))
    assert ended.returncode == 0 and "disk      2.65 MB more in" in ended.stdout, ended.stdout + ended.stderr
    snakemake(folder, "data", source=source)
    (first,), (second,) = (folder / "a, b's=1").glob("local-*"), (folder / 'local/"second"').glob("local-*")
    assert not list(first.rglob("*.npy"))
    assert [sample["data"] for sample in dataset(first)["samples"]] == [f"{source}/data-{n}.npy" for n in range(3)]
    for number, sample in enumerate(dataset(second)["samples"]):
        assert (second / sample["data"]).read_bytes() == (tmp_path / f"site/data-{number}.npy").read_bytes()
    snakemake(folder, "verify", source=source)
    assert site_example.state(tmp_path / "site") == before


def test_a_mistake_in_the_places_is_told_before_any_job(tmp_path):
    ended = run("-m", "snakemake", *command(tmp_path / "run", dir={"nvme": "x"}))
    assert ended.returncode == 2
    lines = [line for line in (ended.stdout + ended.stderr).splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and lines[0].startswith("error: data.dir: ")
