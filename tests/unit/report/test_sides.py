"""Results are read from folders and bundles alike, and bad ones are refused in one line."""

import os
import tarfile
from pathlib import Path

import pytest
from deepcam.errors import InputError
from deepcam.report.comparison import sides
from results_example import GRID, bundle, measured, started, write


def test_a_folder_its_parent_and_a_bundle_are_the_same(tmp_path):
    results = write(tmp_path / "run", {cell: [measured(cell)] * 2 for cell in GRID[:2]}, {"devices": "cpu"})
    (results / "data").mkdir()
    (results / "data/link").symlink_to("/etc/passwd")
    packed = bundle(tmp_path / "run.tar.gz", results)
    found = [sides.read(path) for path in (results, results.parent, packed)]
    assert [len(starts) for starts in found[0].records.values()] == [2, 2]
    assert found[0].config == {"devices": "cpu"}
    assert found[0].records == found[1].records == found[2].records
    assert found[0].config == found[1].config == found[2].config


def empty(folder):
    folder.mkdir()
    return folder


def no_archive(folder):
    folder.write_text("not an archive")
    return folder


def cut_short(folder):
    whole = bundle(folder.with_suffix(".whole"), write(folder, {GRID[0]: [measured(GRID[0])]})).read_bytes()
    folder.with_suffix(".cut").write_bytes(whole[: len(whole) // 2])
    return folder.with_suffix(".cut")


def bundle_without_records(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("")
    return bundle(folder.with_suffix(".tar.gz"), folder)


def bundle_of_two(folder):
    results = write(folder, {GRID[0]: [measured(GRID[0])]})
    with tarfile.open(folder.with_suffix(".two"), "w:gz") as archive:
        archive.add(results, "one/results")
        archive.add(results, "two/results")
    return folder.with_suffix(".two")


def bundle_that_climbs(folder):
    results = write(folder, {GRID[0]: [measured(GRID[0])]})
    with tarfile.open(folder.with_suffix(".up"), "w:gz") as archive:
        archive.add(results, "../results")
    return folder.with_suffix(".up")


def bundle_with_a_link(folder):
    results = write(folder, {GRID[0]: [measured(GRID[0])]})
    (results / "config.yaml").symlink_to("/etc/passwd")
    return bundle(folder.with_suffix(".link"), results)


def damaged(folder, text=b"{"):
    results = write(folder, {GRID[0]: [measured(GRID[0])]})
    (results / "benchmark" / GRID[0].id / "0.json").write_bytes(text)
    return results


def no_text(folder):
    return damaged(folder, b"\xff")


def another_version(folder):
    return damaged(folder, b'{"schema_version": 2}')


def damaged_in_a_bundle(folder):
    return bundle(folder.with_suffix(".tar.gz"), damaged(folder))


def no_configuration(folder):
    return write(folder, {GRID[0]: [measured(GRID[0])]}, ["a list"])


def no_yaml(folder):
    results = write(folder, {GRID[0]: [measured(GRID[0])]})
    (results / "config.yaml").write_text("{")
    return results


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder, "does not exist; give a results folder, or a bundle of one"),
        (empty, "has no record benchmark/<cell>/<start>.json"),
        (no_archive, "no .tar.gz bundle that can be read (Not a gzipped file"),
        (cut_short, "no .tar.gz bundle that can be read"),
        (bundle_without_records, "has results in 0 top folders"),
        (bundle_of_two, "has results in 2 top folders"),
        (bundle_that_climbs, "is not a file inside of it"),
        (bundle_with_a_link, "is not a file inside of it"),
        (damaged, f"{GRID[0].id}/0.json: not a benchmark record"),
        (no_text, f"{GRID[0].id}/0.json: not a benchmark record"),
        (another_version, f"{GRID[0].id}/0.json: a record of version 2, but versions 6 and 7 are supported"),
        (damaged_in_a_bundle, f"bad.tar.gz/deepcam-run/results/benchmark/{GRID[0].id}/0.json: not a benchmark record"),
        (no_configuration, "config.yaml: not a configuration, but list"),
        (no_yaml, "config.yaml: not YAML"),
    ],
)
def test_bad_input_is_one_line_that_says_where(make, message, tmp_path):
    with pytest.raises(InputError) as error:
        sides.read(make(tmp_path / "bad"))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert str(tmp_path / "bad") in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a {b: *a}", "not YAML (alias *a, which no configuration of a run has)"),
        ("a: &a [*a]", "not YAML (alias *a"),
        ("a: " + "[" * 3000 + "]" * 3000, "not YAML (maximum recursion depth"),
        ("a: 2001-13-45", "not YAML (month must be in 1..12)"),
        ("a: 2001-12-05", "not a configuration ("),
        ("a: [{? !!binary aGk= : 1}]", "not a configuration ("),
        ("a: !!int abc", "not YAML (invalid literal"),
        ("a: " + "9" * 5000, "not YAML (Exceeds the limit (4300 digits)"),
        ("a: .nan", "not a configuration ("),
        ("a: " + "9" * 400, "not a configuration ("),
        ("1: 2", "not a configuration ("),
        ("a: !!python/name:os.system", "not YAML (could not determine a constructor"),
        ("a: " + "b" * 2**16, "has 65,539 bytes, but at most 65,536 are read"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "bundle"])
def test_a_configuration_that_no_run_writes_is_refused(packed, text, message, tmp_path):
    results = write(tmp_path, {GRID[0]: [measured(GRID[0])]})
    (results / "config.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        sides.read(bundle(tmp_path / "run.tar.gz", results) if packed else results)
    assert f"results/config.yaml: {message}" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "bundle"])
def test_a_record_in_the_folder_of_another_cell_is_refused(packed, tmp_path):
    results = write(tmp_path, {GRID[0]: [measured(GRID[0])], GRID[1]: [measured(GRID[0])]})
    with pytest.raises(
        InputError, match=f"{GRID[1].id}/0.json: a record of {GRID[0].id} in the folder of another cell"
    ):
        sides.read(bundle(tmp_path / "run.tar.gz", results) if packed else results)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "bundle"])
def test_records_that_the_list_of_the_run_lacks_are_named_and_do_not_count(packed, tmp_path):
    results = write(tmp_path, {GRID[0]: started(GRID[0], [5.0, 10.0, 10.1]), GRID[1]: [measured(GRID[1])]})
    (results / "benchmark/records.txt").write_text(f"results/benchmark/{GRID[0].id}/0.json\n")
    found = sides.read(bundle(tmp_path / "run.tar.gz", results) if packed else results)
    assert {cell: len(starts) for cell, starts in found.records.items()} == {GRID[0]: 1}
    [note] = found.notes
    assert all(f"{name}.json" in note for name in (f"{GRID[0].id}/1", f"{GRID[0].id}/2", f"{GRID[1].id}/0"))


def test_records_that_are_no_files_are_refused_at_once(tmp_path):
    results = write(tmp_path, {GRID[0]: [measured(GRID[0])]})
    for make in (
        os.mkfifo,
        Path.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("none"),
    ):
        path = results / "benchmark" / GRID[0].id / "0.json"
        path.unlink(missing_ok=True)
        make(path)
        with pytest.raises(InputError, match=r"0\.json: (not a regular file|cannot be read)"):
            sides.read(results)
        path.rmdir() if path.is_dir() else path.unlink()
