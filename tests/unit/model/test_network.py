"""The network at sizes and widths other than MLPerf's, which test_network_mlperf.py covers."""

from __future__ import annotations

import pytest
import torch
from deepcam.model.network import DeepLabV3Plus, scaled


@pytest.mark.parametrize("size", [(64, 96), (16, 16), (48, 80)])
def test_the_output_has_the_height_and_width_of_the_input(size: tuple[int, int]) -> None:
    network = DeepLabV3Plus(in_channels=5, num_classes=2, width_multiplier=0.05).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 5, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize(
    ("width", "multiplier", "expected"), [(728, 1.0, 728), (728, 0.25, 184), (48, 0.25, 16), (32, 0.01, 8)]
)
def test_widths_are_multiples_of_8(width: int, multiplier: float, expected: int) -> None:
    assert scaled(width, multiplier) == expected
