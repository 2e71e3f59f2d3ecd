"""The layout of results/. Files of an earlier run are found only if it stays the same."""

from pathlib import Path

from deepcam import paths
from deepcam.config import parse


def test_the_layout_stays_the_same():
    assert [
        paths.index("data"),
        paths.hdf5_manifest("data", "archive", "00001"),
        paths.npy_manifest("data", "00001"),
        paths.dataset("data"),
        paths.engine("eager-fp32", "cuda0"),
        paths.fingerprint("eager-fp32", "cuda0"),
        paths.accuracy("eager-fp32", "cuda0"),
        paths.reference("cuda0"),
        paths.record("{cell}", "{start}"),
        paths.table("summary.csv"),
        paths.figure("bottleneck", "svg"),
        paths.log("run_benchmark/{cell}/{start}"),
    ] == [
        "data/index.tsv",
        "data/hdf5/archive/shard-00001/manifest.tsv",
        "data/npy/shard-00001/manifest.tsv",
        "data/dataset.json",
        "results/model/engines/eager-fp32/cuda0.pt2",
        "results/model/engines/eager-fp32/cuda0.json",
        "results/accuracy/eager-fp32/cuda0.json",
        "results/accuracy/reference/cuda0.npy",
        "results/benchmark/{cell}/{start}.json",
        "results/tables/summary.csv",
        "results/figures/bottleneck.svg",
        "results/logs/run_benchmark/{cell}/{start}.log",
    ]


def test_data_are_in_the_results_unless_configured_otherwise():
    assert parse({}).data.dir == paths.DATA


def test_each_path_and_split_of_a_site_has_a_folder_of_its_own():
    sources = [("/a", "train"), ("/a", "validation"), ("/b", "train")]
    folders = {paths.data("data", *source) for source in sources}
    assert len(folders) == 3 and all(folder.startswith("data/local-") for folder in folders)
    assert paths.data("data", "/a", "train") == paths.data("data", "/a", "train")
    assert paths.data("data", "nersc", "train") == paths.data("data", "synthetic", "train") == "data"


def test_the_list_of_records_is_none_of_them(tmp_path):
    for path in (paths.record("b", 0), paths.record("a", 1), paths.record("a", 0), paths.RECORD_LIST):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    found = paths.existing_records(tmp_path / "results")
    assert found == [tmp_path / paths.record(*of) for of in (("a", 0), ("a", 1), ("b", 0))]
    assert isinstance(found[0], Path)
