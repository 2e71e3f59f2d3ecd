"""The network: MLPerf's size, names and shapes, and untrained weights that are fit for half precision."""

from __future__ import annotations

import pytest
import torch
from deepcam.network import DeepLabV3Plus, scaled, untrained

SHAPES = {
    "xception_features.conv1.weight": (32, 4, 3, 3),
    "xception_features.bn2.running_mean": (64,),
    "xception_features.block1.rep.0.conv1.weight": (64, 1, 3, 3),
    "xception_features.block1.rep.5.pointwise.weight": (128, 128, 1, 1),
    "xception_features.block2.rep.1.pointwise.weight": (256, 128, 1, 1),
    "xception_features.block3.skip.weight": (728, 256, 1, 1),
    "xception_features.block3.skipbn.bias": (728,),
    "xception_features.block3.rep.6.pointwise.weight": (728, 728, 1, 1),
    "xception_features.block19.rep.7.conv1.weight": (728, 1, 3, 3),
    "xception_features.block20.rep.1.pointwise.weight": (728, 728, 1, 1),
    "xception_features.block20.rep.4.pointwise.weight": (1024, 728, 1, 1),
    "xception_features.block20.rep.6.pointwise.weight": (1024, 1024, 1, 1),
    "xception_features.conv5.pointwise.weight": (2048, 1536, 1, 1),
    "xception_features.bn5.num_batches_tracked": (),
    "aspp1.atrous_convolution.weight": (256, 2048, 1, 1),
    "aspp4.atrous_convolution.weight": (256, 2048, 3, 3),
    "aspp4.bn.weight": (256,),
    "global_avg_pool.1.weight": (256, 2048, 1, 1),
    "global_avg_pool.2.bias": (256,),
    "conv1.weight": (256, 1280, 1, 1),
    "conv2.weight": (48, 128, 1, 1),
    "bn2.weight": (48,),
    "upsample.deconv1.0.weight": (256, 256, 3, 3),
    "upsample.deconv2.1.weight": (256,),
    "upsample.conv1.0.weight": (256, 304, 3, 3),
    "upsample.conv1.6.bias": (256,),
    "upsample.deconv3.0.weight": (256, 256, 3, 3),
    "upsample.last_deconv.0.weight": (256, 3, 3, 3),
}


@pytest.fixture(scope="module")
def full() -> DeepLabV3Plus:
    with torch.device("meta"):
        return DeepLabV3Plus()


def test_full_width_has_the_parameters_of_mlperf(full: DeepLabV3Plus) -> None:
    assert sum(parameter.numel() for parameter in full.parameters()) == 56_451_264


def test_state_has_the_names_and_shapes_of_mlperf(full: DeepLabV3Plus) -> None:
    state = full.state_dict()
    assert {name: tuple(state[name].shape) for name in SHAPES} == SHAPES
    assert len(state) == 532
    assert "xception_features.block4.skip.weight" not in state


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
