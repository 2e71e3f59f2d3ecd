"""The grid: which cells a configuration asks for, and which cells there can be."""

import copy
import dataclasses

import pytest
from deepcam import config, grid
from deepcam.errors import InputError
from deepcam.grid import Cell

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


def cells(given=CONFIG):
    return grid.cells(config.parse(given))


def of_mode(mode, given=CONFIG):
    return [cell for cell in cells(given) if cell.mode == mode]


def test_cells_are_sorted_and_unique():
    assert cells() == sorted(set(cells()))


def test_thread_product_is_limited():
    assert max(cell.inter_threads * cell.intra_threads for cell in cells()) == 4
    assert not [cell for cell in cells() if (cell.inter_threads, cell.intra_threads) == (2, 4)]


def test_only_chunking_readers_have_intra_threads():
    assert {cell.reader for cell in cells() if cell.intra_threads > 1} == {"dali-direct", "pread-discard"}


def test_readers_past_the_page_cache_have_no_warm_cells():
    assert {cell.cache for cell in cells() if cell.reader == "dali-direct"} == {"cold"}


def test_modes_have_only_the_fields_they_use():
    assert {cell.engine for cell in of_mode("io")} == {"none"}
    assert {(cell.reader, cell.cache, cell.inter_threads) for cell in of_mode("compute")} == {("none", "none", 1)}
    assert "pread-discard" not in {cell.reader for cell in of_mode("inference")}


def test_training_takes_batches_of_two_and_more_and_no_engine():
    changed = copy.deepcopy(CONFIG)
    changed["benchmark"]["modes"] = ["train"]
    found = of_mode("train", changed)
    assert {(cell.local_batch_size, cell.engine) for cell in found} == {(2, "none")}
    assert {cell.reader for cell in found} == {"dali-mmap", "dali-direct"}
    changed["benchmark"]["local_batch_sizes"] = [1]
    with pytest.raises(InputError, match="mode train has no cell"):
        cells(changed)


def test_per_mode_axes_replace_the_common_ones():
    changed = copy.deepcopy(CONFIG)
    changed["benchmark"]["per_mode"] = {"inference": {"ranks": [1], "cache": ["warm"]}}
    assert {(cell.ranks, cell.cache) for cell in of_mode("inference", changed)} == {(1, "warm")}
    assert {cell.ranks for cell in of_mode("io", changed)} == {1, 2}


def test_a_single_place_without_a_name_is_not_in_a_cell():
    assert {cell.storage for cell in cells()} == {""}
    assert cells({**CONFIG, "data": CONFIG["data"] | {"dir": "/anywhere"}}) == cells()


def test_each_cell_that_reads_is_measured_at_each_named_place():
    named = cells({**CONFIG, "data": CONFIG["data"] | {"dir": {"nvme": "/a", "lustre": "/b"}}})
    without = [dataclasses.replace(cell, storage="") for cell in named]
    assert set(without) == set(cells())
    assert {cell.storage for cell in named if cell.mode != "compute"} == {"nvme", "lustre"}
    assert {cell.storage for cell in named if cell.mode == "compute"} == {""}
    assert len({cell.id for cell in named}) == len(named) == 2 * len(cells()) - len(of_mode("compute"))
    assert cells({**CONFIG, "data": CONFIG["data"] | {"dir": {"lustre": "/b", "nvme": "/a"}}}) == named


def test_an_id_ends_with_the_place_if_it_has_a_name():
    cell = Cell("io", "dali-mmap", "cold", "none", 2, 4, 8, 1, "nvme-2")
    assert cell.id == "io_dali-mmap_cold_none_r0002_b004_t08x01_nvme-2"


def test_nothing_is_read_from_a_place_in_mode_compute():
    cell = Cell("compute", "none", "none", "eager-fp32", 1, 1, 1, 1, "nvme")
    assert cell.problem() == "mode compute and storage nvme contradict each other: nothing is read"


def test_an_id_names_every_field():
    assert Cell("io", "dali-mmap", "cold", "none", 2, 4, 8, 1).id == "io_dali-mmap_cold_none_r0002_b004_t08x01"
    assert len({cell.id for cell in cells()}) == len(cells())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"mode": "train", "local_batch_size": 1}, "mode train and 1 sample per batch and rank contradict each other"),
        ({"mode": "train", "local_batch_size": 2}, None),
        ({"reader": "dali-direct", "cache": "warm"}, "reader dali-direct and cache warm contradict each other"),
        ({"reader": "numpy", "intra_threads": 2}, "reader numpy and 2 intra-sample threads contradict each other"),
        ({"intra_threads": 4}, None),
        ({"mode": "inference", "reader": "pread-discard"}, "reader pread-discard and mode inference contradict"),
        ({"reader": "dali-gds"}, "reader dali-gds needs a GPU"),
        ({"reader": "kvikio"}, "reader kvikio needs a GPU"),
        ({"reader": "none"}, "mode io and reader none contradict each other"),
        ({"cache": "none"}, "mode io and cache none contradict each other"),
        ({"mode": "compute"}, "mode compute and reader pread contradict each other"),
        ({"mode": "compute", "reader": "none"}, "mode compute and cache cold contradict each other"),
        ({"mode": "compute", "reader": "none", "cache": "none"}, None),
    ],
)
def test_a_cell_that_cannot_be_says_why(change, problem):
    found = dataclasses.replace(Cell("io", "pread", "cold", "none", 1, 1, 1, 1), **change).problem(["cpu"])
    assert found is None if problem is None else found.startswith(problem)


def test_a_reader_that_needs_a_gpu_is_refused_on_the_cpu_only():
    reading = [Cell("io", "dali-gds", "cold", "none", 1, 1, 1, 1)]
    grid.check_devices(reading, ["cuda0"])
    with pytest.raises(InputError, match=r"reader dali-gds needs a GPU.*change benchmark\.readers or devices"):
        grid.check_devices(reading, ["cpu"])


def threads_config(**keys):
    benchmark = {"modes": ["io"], "readers": ["pread"], "cache": ["warm"], "local_batch_sizes": [1]}
    return {"data": {"num_files": 64}, "benchmark": benchmark | {"per_mode": {"io": {}}} | keys}


def test_cells_with_too_many_threads_are_left_out():
    of_a_rank = threads_config(
        ranks=[1], inter_threads=[1, 4], intra_threads=[1, 4], max_threads=4, max_node_threads=64
    )
    assert {(cell.inter_threads, cell.intra_threads) for cell in cells(of_a_rank)} == {(1, 1), (1, 4), (4, 1)}
    of_a_node = threads_config(ranks=[1, 2, 4], inter_threads=[1, 4], max_node_threads=4, ranks_per_node=2)
    assert {(cell.ranks, cell.inter_threads) for cell in cells(of_a_node)} == {(1, 1), (1, 4), (2, 1), (4, 1)}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"inter_threads": [1, 8], "ranks": [1]},
            r"benchmark\.inter_threads: mode io has no cell with 8; 1 x 8 x 1 threads on a node are",
        ),
        ({"ranks": [1, 5]}, r"benchmark\.ranks: mode io has no cell with 5; 5 x 1 x 1 threads on a node are more than"),
        (
            {"inter_threads": [1], "intra_threads": [1, 3], "max_threads": 2},
            r"benchmark\.intra_threads: mode io has no cell with 3; 1 x 3 threads are more than max_threads, 2",
        ),
    ],
    ids=["inter_threads", "ranks", "intra_threads"],
)
def test_a_value_is_never_left_out_altogether(keys, message):
    with pytest.raises(InputError, match=message):
        cells(threads_config(**keys))


def test_an_engine_that_is_not_built_is_refused():
    changed = copy.deepcopy(CONFIG)
    changed["benchmark"]["per_mode"] = {"compute": {"engines": ["eager-fp16"]}}
    with pytest.raises(InputError, match=r"per_mode\.compute\.engines: eager-fp16 is not built; built are eager-fp32"):
        cells(changed)


def test_an_empty_mode_is_refused():
    changed = copy.deepcopy(CONFIG)
    changed["benchmark"] |= {"readers": ["pread-discard"]}
    with pytest.raises(InputError, match="mode inference has no cell"):
        cells(changed)


def test_a_batch_larger_than_the_dataset_is_refused():
    changed = copy.deepcopy(CONFIG)
    changed["data"]["num_files"] = 3
    with pytest.raises(InputError, match=r"data\.num_files: 3 is less than the largest global batch, 4"):
        cells(changed)


@pytest.mark.parametrize(("files", "per_shard", "ids"), [(1, 4, ["00000"]), (8, 4, ["00000", "00001"]), (9, 4, 3)])
def test_shards_cover_all_files(files, per_shard, ids):
    found = grid.shard_ids(files, per_shard)
    assert found == ids if isinstance(ids, list) else len(found) == ids


def test_training_needs_a_gpu_for_each_rank_and_any_number_of_ranks_on_a_cpu():
    trained = cells(training([1, 4]))
    grid.check_training(trained, ["gpu0", "gpu1", "gpu2", "gpu3"])
    grid.check_training(trained, ["cpu"])
    with pytest.raises(
        InputError, match=r"^benchmark\.ranks: mode train needs a GPU for each of 4 ranks, .* has 2; lower"
    ):
        grid.check_training(trained, ["gpu0", "gpu1"])


def training(ranks):
    return {"data": {"num_files": 64}, "benchmark": {"modes": ["train"], "readers": ["pread"], "ranks": ranks}}
