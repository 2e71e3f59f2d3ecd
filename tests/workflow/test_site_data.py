"""Runs on samples that are already on a site's storage, which a run must not change."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import site_example
import tiny_run

ROOT = Path(__file__).parents[2]
SHAPE = (96, 144)  # config/tiny.yaml's


def command(folder, source, *targets, **overlay):
    """Snakemake's arguments for the tiny configuration with this source, I/O-only and from a warm page cache."""
    small = {"modes": ["io"], "readers": ["pread"], "cache": ["warm"], "ranks": [1], "inter_threads": [1]}
    data = {"source": str(source), "num_files": 3, "files_per_shard": 2, "keep_hdf5": False}
    return tiny_run.arguments(folder, {"data": data, "benchmark": small | overlay}, *targets)


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)


def snakemake(folder, source, *targets, **overlay):
    return run("-m", "snakemake", *command(folder, source, *targets, **overlay))


def succeeded(ended):
    assert ended.returncode == 0, ended.stdout + ended.stderr


def errors(ended):
    return [line for line in (ended.stdout + ended.stderr).splitlines() if line.startswith("error: ")]


@pytest.fixture
def read_only():
    """Make a folder and all that is in it read-only, until the test ends."""
    folders = []

    def protect(folder):
        for path in [*folder.rglob("*"), folder]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        folders.append(folder)

    yield protect
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)


def records(folder):
    """The records of the first start of each configuration."""
    return [json.loads(path.read_text()) for path in sorted((folder / "results/benchmark").glob("*/0.json"))]


def test_a_read_only_folder_of_hdf5_files_is_measured_and_verified_and_left_as_it_was(tmp_path, read_only):
    site = tmp_path / 'climate data, site\'s "naïve" copy'
    for number in range(4):
        site_example.hdf5(site / f"validation/data-1996-06-01-0{number}-0.h5", SHAPE)
    read_only(site)
    before = site_example.state(site)
    succeeded(snakemake(tmp_path / "run", site))
    (record,) = records(tmp_path / "run")
    assert record["dataset"]["source"] == str(site)
    assert record["dataset"]["samples"] == [f"data-1996-06-01-0{number}-0.npy" for number in range(3)]
    assert (tmp_path / "run/results/summary.html").exists()
    succeeded(snakemake(tmp_path / "run", site, "verify"))
    assert site_example.state(site) == before


def test_another_header_size_converts_again_and_data_in_place_keep_theirs(tmp_path):
    for number in range(3):
        site_example.hdf5(tmp_path / f"site/data-{number}.h5", SHAPE)

    def made(folder, source, **data):
        """The sizes of the samples' headers in a run's description of them."""
        arguments = command(folder, source, "data")
        overlay = json.loads((folder / "overlay.yaml").read_text())
        overlay["data"] |= {"keep_hdf5": True} | data
        (folder / "overlay.yaml").write_text(json.dumps(overlay))
        succeeded(run("-m", "snakemake", *arguments))
        (described,) = folder.glob("results/data/*/dataset.json")
        return {sample["bytes"] - 4 * 96 * 144 * 16 for sample in json.loads(described.read_text())["samples"]}

    assert made(tmp_path / "run", tmp_path / "site") == {128}
    assert made(tmp_path / "run", tmp_path / "site", npy_header_bytes=4096) == {4096}
    (shards,) = tmp_path.glob("run/results/data/*/npy")
    assert made(tmp_path / "other", shards, npy_header_bytes=128) == {4096}


def test_npy_files_are_measured_where_they_are(tmp_path, read_only):
    site = tmp_path / "my disk, naïve & 'quoted'"
    for number in range(2):
        site_example.npy(site / f"data-{number}.npy", SHAPE, labels=False)
    site_example.npy(tmp_path / "elsewhere/data-2.npy", SHAPE, labels=False)
    (site / "data-2.npy").symlink_to(tmp_path / "elsewhere/data-2.npy")
    read_only(site)
    before = site_example.state(site)
    succeeded(snakemake(tmp_path / "run", site, readers=["pread", "dali-mmap", "numpy"], cache=["cold", "warm"]))
    found = records(tmp_path / "run")
    assert len(found) == 6
    for record in found:
        assert record["dataset"]["samples"] == ["data-0.npy", "data-1.npy", "data-2.npy"]
        assert not {check["name"] for check in record["checks"] if not check["ok"]} & {"every_sample_once"}
    for _ in range(2):
        succeeded(snakemake(tmp_path / "run", site, "verify", "--forcerun", "verify"))
    assert not list((tmp_path / "run").rglob("*.npy"))
    assert site_example.state(site) == before


def test_engines_need_labels_and_the_run_says_so_before_it_builds_one(tmp_path):
    for number in range(3):
        site_example.npy(tmp_path / f"site/data-{number}.npy", SHAPE, labels=False)
    ended = snakemake(tmp_path / "run", tmp_path / "site", "data", modes=["io", "compute"])
    assert ended.returncode == 1
    (line,) = errors(ended)
    assert line.startswith(
        f"error: {tmp_path}/site/label-0.npy: there is no such file, but modes compute and inference"
    )


@pytest.mark.parametrize("target", ["data", "--dry-run"])
def test_a_source_of_no_use_is_refused_in_one_line_before_any_job(tmp_path, target):
    ended = snakemake(tmp_path / "run", tmp_path / "nowhere", target)
    assert ended.returncode == 2
    assert errors(ended) == [
        f"error: data.source: there is no {tmp_path}/nowhere on this machine: check the path, and that its storage is "
        "mounted"
    ]
    assert not (tmp_path / "run/results").exists()


def test_samples_of_equal_names_from_two_folders_are_two_datasets(tmp_path):
    for name in ("one", "two"):
        for number in range(3):
            site_example.hdf5(tmp_path / name / f"data-{number}.h5", SHAPE)
        succeeded(snakemake(tmp_path / "run", tmp_path / name, "data"))
    described = [json.loads(path.read_text()) for path in (tmp_path / "run/results/data").glob("*/dataset.json")]
    assert sorted(each["source"] for each in described) == [str(tmp_path / "one"), str(tmp_path / "two")]


@pytest.mark.parametrize(("make", "name", "jobs"), [(site_example.hdf5, "h5", 6), (site_example.npy, "npy", 2)])
def test_a_plan_knows_whether_there_is_something_to_convert(tmp_path, make, name, jobs):
    for number in range(3):
        make(tmp_path / f"site/data-{number}.{name}", SHAPE)
    ended = run(ROOT / "workflow_scripts/plan_run.py", *command(tmp_path / "run", tmp_path / "site"))
    succeeded(ended)
    assert (
        f"samples   3 from {tmp_path}/site, 96 x 144, in 2 shards; {3 if name == 'h5' else 0} to make" in ended.stdout
    )
    assert f"nothing in {tmp_path}/site is changed" in ended.stdout
    assert f"data                       {jobs}  " in ended.stdout
    assert ("0 bytes more" in ended.stdout) == (name == "npy")
