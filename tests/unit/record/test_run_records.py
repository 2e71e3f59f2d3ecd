"""One list says which records belong to a run. Others in its folder are named, and so are those that are missing."""

import shutil

import pytest
from deepcam import paths
from deepcam.errors import InputError
from deepcam.record import run_records, store
from results_example import GRID, started, write

A, B = (cell.id for cell in GRID[:2])


def names(found):
    return [f"{path.parent.name}/{path.name}" for path in found]


@pytest.fixture(name="listed")
def _listed(tmp_path):
    """The list of a run of two cells with three starts each."""
    return write(tmp_path, {cell: started(cell, [10.0, 10.1, 10.2]) for cell in GRID[:2]}) / "benchmark/records.txt"


def test_a_run_has_the_records_of_its_list(listed):
    found = run_records.read(listed)
    assert names(found.present) == [f"{cell}/{start}.json" for cell in (A, B) for start in range(3)]
    assert len(store.read(found.present)) == 6
    assert found.notes() == []


def test_records_that_the_list_does_not_name_are_left_out_and_those_that_it_lacks_are_named(listed):
    lines = listed.read_text().splitlines()
    listed.write_text("\n".join([line for line in lines if f"{A}/1" not in line]))
    (listed.parent / B / "2.json").unlink()
    found = run_records.read(listed)
    assert names(found.present) == [f"{A}/0.json", f"{A}/2.json", f"{B}/0.json", f"{B}/1.json"]
    assert found.notes() == [
        f"Records of this run that are missing: {B}/2.json.",
        f"Records left out because they are not of this run: {A}/1.json.",
    ]


def test_a_folder_without_a_list_counts_with_all_its_records_and_says_so(listed):
    listed.unlink()
    (listed.parent / A / "notes.json").write_text("")
    found = run_records.read(listed)
    assert len(found.present) == 6
    assert found.notes() == ["There is no list of the run's records, so all 6 in its folder count."]


def test_a_record_that_is_listed_twice_counts_once(listed):
    listed.write_text(2 * listed.read_text())
    assert len(run_records.read(listed).present) == 6


def test_notes_name_few_records(listed):
    listed.write_text("")
    [note] = run_records.read(listed).notes()
    assert note.startswith(f"Records left out because they are not of this run: {A}/0.json, ") and note.endswith(
        ", and 3 more."
    )


def test_a_moved_folder_has_the_same_records(listed, tmp_path):
    moved = shutil.move(listed.parent.parent, tmp_path / "elsewhere")
    found = run_records.read(moved / "benchmark/records.txt")
    assert len(found.present) == 6 and not found.missing


@pytest.mark.parametrize(
    "content",
    [b"\xff", b"a\0b\n", b"x" * 5000, b"\n\n", b"/etc/passwd\n", b"results/benchmark/../0.json/1.json\n",
     b"results/benchmark/a/b.json\n"],
)  # fmt: skip
def test_a_list_that_no_run_has_written_is_refused_in_one_line(content, listed):
    listed.write_bytes(content)
    with pytest.raises(InputError, match=r"records\.txt.*not (a list of|the path of a) record.*delete") as error:
        run_records.read(listed)
    assert "\n" not in str(error.value)


def test_the_list_of_a_grid_has_what_exists_and_what_is_missing(listed, monkeypatch):
    monkeypatch.chdir(listed.parents[2])
    assert run_records.listing([A, "new"], min_starts=2) == [
        *(paths.record(A, start) for start in range(3)),
        *(paths.record("new", start) for start in range(2)),
    ]


def test_a_plan_counts_the_records_of_its_own_cells(listed, monkeypatch):
    monkeypatch.chdir(listed.parents[2])
    found = run_records.of_cells([A, "new"])
    assert names(found.present) == [f"{A}/{start}.json" for start in range(3)]
    assert found.notes() == [f"Records left out because they are not of this run: {B}/0.json, {B}/1.json, {B}/2.json."]
