"""The grid: which cells a configuration makes, and what their ids mean."""

import copy

import pytest
from deepcam import grid
from deepcam.errors import InputError

CONFIG = {
    "data": {"num_files": 8},
    "engines": [
        {"backend": "eager", "precision": "fp32", "cuda_graphs": False},
        {"backend": "aotinductor", "precision": "auto", "cuda_graphs": False},
    ],
    "benchmark": {
        "modes": ["io", "compute", "inference"],
        "readers": ["dali-mmap", "dali-direct", "pread-discard"],
        "cache": ["cold", "warm"],
        "ranks": [1, 2],
        "local_batch_sizes": [1, 2],
        "inter_threads": [1, 2],
        "intra_threads": [1, 4],
        "max_threads": 4,
        "per_mode": {},
    },
}


def of_mode(mode, config=CONFIG):
    return [cell for cell in grid.cells(config) if cell.mode == mode]


def test_cells_are_sorted_and_unique():
    cells = grid.cells(CONFIG)
    assert cells == sorted(set(cells))


def test_thread_product_is_limited():
    assert max(cell.inter_threads * cell.intra_threads for cell in grid.cells(CONFIG)) == 4
    assert not [cell for cell in grid.cells(CONFIG) if (cell.inter_threads, cell.intra_threads) == (2, 4)]


def test_only_chunking_readers_have_intra_threads():
    assert {cell.reader for cell in grid.cells(CONFIG) if cell.intra_threads > 1} == {"dali-direct", "pread-discard"}


def test_readers_past_the_page_cache_have_no_warm_cells():
    assert {cell.cache for cell in grid.cells(CONFIG) if cell.reader == "dali-direct"} == {"cold"}


def test_modes_have_only_the_fields_they_use():
    assert {cell.engine for cell in of_mode("io")} == {"none"}
    assert {(cell.reader, cell.cache, cell.inter_threads) for cell in of_mode("compute")} == {("none", "none", 1)}
    assert "pread-discard" not in {cell.reader for cell in of_mode("inference")}


def test_training_takes_batches_of_two_and_more_and_no_engine():
    config = copy.deepcopy(CONFIG)
    config["benchmark"]["modes"] = ["train"]
    cells = of_mode("train", config)
    assert {(cell.local_batch_size, cell.engine) for cell in cells} == {(2, "none")}
    assert {cell.reader for cell in cells} == {"dali-mmap", "dali-direct"}
    config["benchmark"]["local_batch_sizes"] = [1]
    with pytest.raises(InputError, match="mode train has no cell"):
        grid.cells(config)


def test_per_mode_axes_replace_the_common_ones():
    config = copy.deepcopy(CONFIG)
    config["benchmark"]["per_mode"] = {"inference": {"ranks": [1], "cache": ["warm"]}}
    assert {(cell.ranks, cell.cache) for cell in of_mode("inference", config)} == {(1, "warm")}
    assert {cell.ranks for cell in of_mode("io", config)} == {1, 2}


def test_ids_lead_back_to_cells():
    for cell in grid.cells(CONFIG):
        assert grid.Cell.from_id(cell.id) == cell


def test_a_wrong_id_is_refused():
    with pytest.raises(InputError, match="io_nothing"):
        grid.Cell.from_id("io_nothing")


def test_an_empty_mode_is_refused():
    config = copy.deepcopy(CONFIG)
    config["benchmark"] |= {"readers": ["pread-discard"]}
    with pytest.raises(InputError, match="mode inference has no cell"):
        grid.cells(config)


def test_a_batch_larger_than_the_dataset_is_refused():
    config = copy.deepcopy(CONFIG)
    config["data"]["num_files"] = 3
    with pytest.raises(InputError, match=r"data\.num_files: 3 is less than the largest global batch, 4"):
        grid.cells(config)


@pytest.mark.parametrize(("files", "per_shard", "ids"), [(1, 4, ["00000"]), (8, 4, ["00000", "00001"]), (9, 4, 3)])
def test_shards_cover_all_files(files, per_shard, ids):
    found = grid.shard_ids(files, per_shard)
    assert found == ids if isinstance(ids, list) else len(found) == ids
