"""The network: output sizes, widths, rectified skip paths, and untrained weights that are fit for half precision."""

from __future__ import annotations

import pytest
import torch
from deepcam.network import DeepLabV3Plus, scaled, untrained


@pytest.mark.parametrize("size", [(64, 96), (16, 16), (48, 80)])
def test_output_has_the_height_and_width_of_the_input(size: tuple[int, int]) -> None:
    network = DeepLabV3Plus(in_channels=5, num_classes=2, width_multiplier=0.05).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 5, *size)).shape == (1, 2, *size)


def test_skip_paths_and_low_level_features_are_rectified() -> None:
    """The reference's in-place ReLU changes a block's input before the skip path reads it."""
    features = untrained(0.05, 0).xception_features
    seen = []
    for name in ("block2", "block4", "block20"):
        getattr(features, name).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].min().item()))
    with torch.inference_mode():
        low = features(torch.rand(1, 4, 64, 96))[1]
    assert len(seen) == 3
    assert min(seen) >= 0
    assert low.min() >= 0


@pytest.mark.parametrize(
    ("width", "multiplier", "expected"), [(728, 1.0, 728), (728, 0.25, 184), (48, 0.25, 16), (32, 0.01, 8)]
)
def test_widths_are_multiples_of_8(width: int, multiplier: float, expected: int) -> None:
    assert scaled(width, multiplier) == expected


def test_untrained_weights_follow_the_seed_and_leave_the_global_one_alone() -> None:
    before = torch.random.get_rng_state()
    one, same, other = (untrained(0.05, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("fill", ["noise", "zeros", "ones"])
def test_untrained_activations_stay_far_from_the_limit_of_fp16(fill: str) -> None:
    network = untrained(0.05, 0)
    shape = (1, 4, 64, 96)
    batch = {"noise": torch.rand(shape), "zeros": torch.zeros(shape), "ones": torch.ones(shape)}[fill]
    largest = []
    for module in network.modules():
        module.register_forward_hook(
            lambda _, __, out: largest.append(
                max(x.abs().max().item() for x in (out if type(out) is tuple else (out,)))
            )
        )
    with torch.inference_mode():
        logits = network(batch)
    assert max(largest) < torch.finfo(torch.float16).max / 8
    assert logits.argmax(1).unique().numel() == 3
