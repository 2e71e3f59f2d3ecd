"""Layers of a configuration: what an overlay sets holds for all modes."""

from pathlib import Path

import pytest
import yaml
from deepcam import config
from deepcam.config.layers import merge

ROOT = Path(__file__).parents[3]
AXES = ("readers", "cache", "ranks", "local_batch_sizes", "inter_threads", "intra_threads", "runs", "min_seconds")
OVERLAYS = [*ROOT.glob("config/*.yaml"), *ROOT.glob("tests/gpu/*.yaml")]


def loaded(path):
    return yaml.safe_load(path.read_text())


def test_blocks_are_merged_and_lists_replaced():
    layers = {"data": {"num_files": 8, "seed": 1}, "devices": [0, 1]}, {"data": {"num_files": 4}, "devices": [2]}
    assert merge(layers) == {"data": {"num_files": 4, "seed": 1}, "devices": [2]}
    assert layers[0] == {"data": {"num_files": 8, "seed": 1}, "devices": [0, 1]}  # and the layers stay as they are


@pytest.mark.parametrize("key", AXES)
def test_a_key_of_all_modes_wins_over_an_earlier_key_of_one_mode(key):
    default = {"benchmark": {key: "default", "per_mode": {"compute": {key: "of one mode", "engines": "kept"}}}}
    overlay = {"benchmark": {key: "overlay"}}
    assert merge([default, overlay])["benchmark"] == {key: "overlay", "per_mode": {"compute": {"engines": "kept"}}}


def test_a_layer_with_other_engines_drops_those_of_single_modes():
    default = {"engines": [{"backend": "eager"}], "benchmark": {"per_mode": {"inference": {"engines": ["eager-auto"]}}}}
    assert merge([default, {"engines": [{"backend": "tensorrt"}]}])["benchmark"] == {"per_mode": {"inference": {}}}
    assert merge([default, {"data": {}}])["benchmark"] == default["benchmark"]


def test_a_key_of_one_mode_wins_over_the_key_of_all_modes_in_its_own_and_in_earlier_layers():
    overlay = {"benchmark": {"ranks": [8], "per_mode": {"io": {"ranks": [4]}}}}
    assert merge([overlay]) == overlay
    assert merge([{"benchmark": {"ranks": [8]}}, {"benchmark": {"per_mode": {"io": {"ranks": [4]}}}}]) == overlay


@pytest.mark.parametrize(
    "odd", [{"benchmark": None}, {"benchmark": {"per_mode": 1}}, {"benchmark": {"per_mode": {"io": 1}}}]
)
def test_what_should_be_a_block_and_is_none_is_kept_for_the_check_to_refuse(odd):
    assert merge([odd, {"data": {}}]) == odd | {"data": {}}
    assert merge([odd, {"benchmark": {"ranks": [1]}}])["benchmark"]["ranks"] == [1]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_no_default_of_one_mode_wins_over_a_shipped_overlay(overlay):
    stated = loaded(overlay).get("benchmark", {})
    benchmark = config.parse(loaded(ROOT / "config/config.yaml"), loaded(overlay)).benchmark
    for mode in ("io", "compute", "inference", "train"):
        for key in stated.keys() & set(AXES) - stated.get("per_mode", {}).get(mode, {}).keys():
            assert getattr(benchmark.of_mode(mode), key) == getattr(benchmark, key), f"{mode} has its own {key}"


def test_the_grid_of_eight_gpus_has_all_batch_sizes_end_to_end():
    benchmark = config.parse(loaded(ROOT / "config/config.yaml"), loaded(ROOT / "config/gpu.yaml")).benchmark
    assert benchmark.of_mode("inference").local_batch_sizes == (8, 4, 2, 1)
    assert benchmark.of_mode("compute").ranks == (8,)
