"""The graph, and its rewriting for GPUs, compute what the network computes."""

from __future__ import annotations

import copy

import pytest
import torch
from deepcam import network
from deepcam.engine import aotinductor, graph
from torch import nn


def test_the_graph_hands_the_network_channels_last_without_a_copy() -> None:
    seen = []

    class Probe(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((x.dtype, x.is_contiguous(memory_format=torch.channels_last), x.shape))
            return x

    inference = graph.InferenceGraph(Probe(), [0.0] * 4, [1.0] * 4, torch.bfloat16)
    assert inference(torch.rand(2, 16, 32, 16)).shape == (2, 16, 32)
    assert seen == [(torch.bfloat16, True, (2, 4, 16, 32))]


@pytest.fixture
def original() -> network.DeepLabV3Plus:
    """Random weights, and batch norms that are not the identity."""
    torch.manual_seed(0)
    made = network.DeepLabV3Plus(width_multiplier=0.05).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.01, 0.1)
    return made


def test_rewriting_for_a_gpu_keeps_the_logits_and_leaves_no_batch_norm_or_depthwise_convolution(
    original: network.DeepLabV3Plus,
) -> None:
    rewritten = copy.deepcopy(original)
    aotinductor.prepare(rewritten, "cuda:0")
    batch = torch.rand(1, 4, 32, 48)
    with torch.inference_mode():
        expected = original(batch)
        assert expected.std() > 0
        assert torch.allclose(rewritten(batch), expected, rtol=0, atol=1e-4 * expected.abs().max())
    for module in rewritten.modules():
        assert not isinstance(module, nn.BatchNorm2d)
        assert not isinstance(module, nn.Conv2d) or module.groups == 1


def test_nothing_is_rewritten_for_a_cpu(original: network.DeepLabV3Plus) -> None:
    names = [name for name, _ in original.named_parameters()]
    aotinductor.prepare(original, "cpu")
    assert [name for name, _ in original.named_parameters()] == names


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_taps_are_the_depthwise_convolution_and_convert_like_it(stride: int, dilation: int) -> None:
    convolution = nn.Conv2d(8, 8, 3, stride, dilation, dilation, groups=8, bias=False)
    taps = graph.DepthwiseTaps(convolution)
    x = torch.rand(2, 8, 16, 24)
    with torch.no_grad():
        assert torch.allclose(taps(x), convolution(x), atol=1e-6)
        half = taps.to(dtype=torch.bfloat16, memory_format=torch.channels_last)
        assert half(x.bfloat16()).dtype == torch.bfloat16
