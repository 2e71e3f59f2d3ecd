"""`make clean` and `make keep`: what is removed, what is asked about, what never goes away, and what is kept."""

import builtins
import dataclasses
import fcntl
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import clean_results
import pytest
import yaml
from deepcam import cleanup, paths
from deepcam.errors import InputError
from deepcam.grid import Cell
from servers import require

ROOT = Path(__file__).parents[2]
REBUILT = ("results/tables/summary.csv", "results/summary.html", "results/report.zip", "results/model/model.pth")
RECORDS = ("results/benchmark/cell/0.json", "results/accuracy/eager/cpu.json", "results/bundle.tar.gz")
DATA = ("results/data/dataset.json", "results/data/npy/shard-00000/data-a.npy", "results/data/index.tsv")
OTHERS = ("results/notes.txt", "results/.gitkeep", "results/data/theirs.npy", ".venv/bin/python", "kept/a.tar.gz")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with results, data, and files of somebody else. Nobody answers questions."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    make(*REBUILT, *RECORDS, *DATA, *OTHERS, "results/data/npy/shard-00000.lock")
    configure()
    return folder


def make(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)


def configure(**data):
    Path(paths.CONFIG).write_text(yaml.safe_dump({"data": data}))


def left(*names):
    return {name for name in names if os.path.lexists(name)}


def clean(monkeypatch, *options, answers=None):
    """Run the program, on a terminal if there are answers. Return its questions."""
    asked = []

    def answer(question):
        asked.append(question)
        return answers[len(asked) - 1]

    if answers is not None:
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr(builtins, "input", answer)
    monkeypatch.setattr(sys, "argv", ["clean_results", *options])
    clean_results.main()
    return asked


def test_on_a_terminal_records_and_data_are_asked_about_and_may_stay(folder, monkeypatch):
    asked = clean(monkeypatch, answers=["n", ""])
    assert asked == [
        "Remove 1 record (results/benchmark, results/accuracy, results/bundle.tar.gz)? [y/N] ",
        "Remove data of 0.00 GB (results/data)? [y/N] ",
    ]
    assert left(*REBUILT) == set()
    assert left(*RECORDS, *DATA, *OTHERS, paths.CONFIG) == {*RECORDS, *DATA, *OTHERS, paths.CONFIG}


def test_only_what_was_agreed_to_is_removed(folder, monkeypatch):
    clean(monkeypatch, answers=["yes", "n"])
    assert left(*REBUILT, *RECORDS, *DATA, *OTHERS) == {*DATA, *OTHERS}
    assert clean(monkeypatch, answers=["Y"])[0].startswith("Remove data of ")
    assert left(*DATA, *OTHERS, paths.CONFIG) == {*OTHERS}
    assert not Path("results/data/npy").exists()


def test_without_a_terminal_nothing_is_removed(folder, monkeypatch):
    with pytest.raises(InputError, match=r"remove 1 record \(.*\) and data of .*; FORCE=1 removes them"):
        clean(monkeypatch)
    assert left(*REBUILT, *RECORDS, *DATA) == {*REBUILT, *RECORDS, *DATA}


def test_without_a_terminal_what_can_be_rebuilt_is_removed_if_there_is_nothing_else(folder, monkeypatch):
    for name in ("benchmark", "accuracy", "data"):
        shutil.rmtree(f"results/{name}")
    Path("results/bundle.tar.gz").unlink()
    assert clean(monkeypatch) == [] and left(*REBUILT, paths.CONFIG) == set()


def test_what_is_removed_is_said(folder, monkeypatch, capsys):
    clean(monkeypatch, "--force")
    first, records, data = capsys.readouterr().out.splitlines()
    assert first.startswith("removed results/tables, results/model, ")
    assert records.startswith("removed 1 record (") and data == "removed data of 0.00 GB (results/data)"
    clean(monkeypatch)
    assert capsys.readouterr().out == "nothing to remove\n"


def test_force_removes_all_without_asking_and_leaves_what_belongs_to_others(folder, monkeypatch):
    make("results/training/model.pth")
    clean(monkeypatch, "--force")
    assert left(*REBUILT, *RECORDS, *DATA, "results/training", *OTHERS) == {*OTHERS}


def test_data_in_another_folder_is_found_and_the_folder_and_other_files_in_it_stay(folder, monkeypatch):
    fast = folder.parent / "fast"
    make(f"{fast}/npy/shard-00000/data-a.npy", f"{fast}/npy/theirs.npy", f"{fast}/hdf5/synthetic/shard-00000/a.h5")
    configure(dir=str(fast))
    clean(monkeypatch, "--force")
    assert [path.relative_to(fast) for path in sorted(fast.rglob("*"))] == [Path("npy"), Path("npy/theirs.npy")]


@pytest.mark.parametrize("source", ["samples", "fast/npy"])
def test_samples_of_a_site_stay_and_the_links_to_them_go(source, folder, monkeypatch):
    sample = folder.parent / source / "shard-00000/data-a.h5"
    make(str(sample))
    source, fast = sample.parents[1], folder.parent / "fast"
    made = Path(paths.data(str(fast), str(source), "all"))
    (made / "hdf5/local/shard-00000").mkdir(parents=True)
    (made / "hdf5/local/shard-00000/data-a.h5").symlink_to(sample)
    (made / "hdf5/local/whole").symlink_to(source)
    configure(dir=str(fast), source=str(source), split="all")
    clean(monkeypatch, "--force")
    assert sample.read_text() and not made.exists()


def test_nothing_in_the_folder_of_a_sites_samples_is_removed_however_it_is_reached(folder, monkeypatch):
    site = folder.parent / "site"
    made = Path(paths.data("results/data", str(site), "all"))
    shutil.rmtree("results/data")
    make(f"{site}/{made.name}/data-a.npy")
    Path("results/data").symlink_to(site)
    configure(source=str(site), split="all")
    with pytest.raises(InputError, match=f"{made}: lies in data.source, {site}, or holds it"):
        clean(monkeypatch, "--force")
    assert left(*REBUILT, *RECORDS, f"{site}/{made.name}/data-a.npy") == {
        *REBUILT, *RECORDS, f"{site}/{made.name}/data-a.npy",
    }  # fmt: skip


def test_a_link_is_removed_and_not_what_it_leads_to(folder, monkeypatch):
    shutil.move("results/tables", folder.parent / "tables")
    Path("results/tables").symlink_to(folder.parent / "tables")
    clean(monkeypatch, "--force")
    assert not os.path.lexists("results/tables") and (folder.parent / "tables/summary.csv").exists()


def test_a_file_that_git_tracks_stops_it_before_anything_is_removed(folder, monkeypatch):
    for command in (["init", "--quiet"], ["add", "--force", "results/tables/summary.csv"]):
        subprocess.run([require("git", "git"), *command], check=True)
    with pytest.raises(InputError, match=r"results/tables/summary.csv: tracked by git"):
        clean(monkeypatch, "--force")
    assert left(*REBUILT) == {*REBUILT}


def test_it_does_not_start_beside_a_run(folder, monkeypatch):
    with open("results/.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is under way in this folder"):
            clean(monkeypatch, "--force")
    assert left(*REBUILT) == {*REBUILT}


@pytest.mark.parametrize("text", ["{", "a list", "data: {nowhere: 1}", ""])
def test_a_damaged_configuration_is_told_in_one_line(text, folder):
    Path(paths.CONFIG).write_text(text)
    with pytest.raises(
        InputError, match=r"results/config\.yaml: not a configuration \(.+\), so it is unknown where the data is"
    ):
        cleanup.find()


@pytest.fixture
def run_make(folder):
    """make in the folder, where Snakemake only writes a bundle, and Python says its arguments."""
    shutil.copy(ROOT / "Makefile", folder)
    for name, text in {
        ".venv/bin/python": 'echo "$@"', ".venv/bin/snakemake": "echo new > results/bundle.tar.gz",
        "envs/bootstrap.sh": "",
    }.items():  # fmt: skip
        make(name)
        Path(name).write_text(f"#!/bin/sh\n{text}\n")
        Path(name).chmod(0o755)

    def run(*arguments):
        ended = subprocess.run(["make", "--silent", *arguments], capture_output=True, text=True)
        return ended.returncode, ended.stdout + ended.stderr

    return run


def test_results_are_kept_as_a_bundle_with_a_name(run_make):
    assert run_make("keep", "NAME=last-week") == (0, "kept/last-week.tar.gz\n")
    assert Path("kept/last-week.tar.gz").read_text() == "new\n"
    assert sorted(path.name for path in Path("kept").iterdir()) == ["a.tar.gz", "last-week.tar.gz"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a", "error: kept/a.tar.gz exists; give another NAME"),
        ("", "error: NAME=: give the results a name of letters"),
        ("../a", "error: NAME=../a: give the results a name of letters"),
    ],
)
def test_no_kept_results_are_replaced_and_a_bad_name_is_refused(name, message, run_make):
    status, said = run_make("keep", f"NAME={name}")
    assert status and message in said
    assert Path("kept/a.tar.gz").read_text() == "kept/a.tar.gz"


@pytest.mark.parametrize(("force", "options"), [("1", " --force"), ("", ""), ("0", "")])
def test_make_clean_asks_unless_force_is_1(force, options, run_make):
    assert run_make("clean", f"FORCE={force}") == (0, f"workflow_scripts/clean_results.py{options}\n")


def test_only_records_of_invalid_configurations_are_removed(folder, monkeypatch, capsys):
    cells = [Cell("io", "pread", cache, "none", 1, 2, 1, 1) for cache in ("cold", "warm")]
    lines = [",".join([*cleanup.FIELDS, "valid"])]
    for cell, valid in zip(cells, (False, True), strict=True):
        make(paths.record(cell.id, 0))
        lines.append(",".join(map(str, [*dataclasses.astuple(cell), valid])))
    Path("results/tables/summary.csv").write_text("\n".join(lines))
    clean(monkeypatch, "--invalid")
    assert left(*(paths.record(cell.id, 0) for cell in cells)) == {paths.record(cells[1].id, 0)}
    assert left(*REBUILT, *RECORDS, *DATA, *OTHERS) == {*REBUILT, *RECORDS, *DATA, *OTHERS}
    assert capsys.readouterr().out == f"removed {Path(paths.record(cells[0].id, 0)).parent}\n"
    clean(monkeypatch, "--invalid")
    assert capsys.readouterr().out == "nothing to remove: all configurations are valid\n"


def test_without_a_table_nothing_says_what_is_invalid(folder, monkeypatch):
    Path("results/tables/summary.csv").unlink()
    with pytest.raises(InputError, match="run make report first"):
        clean(monkeypatch, "--invalid")
