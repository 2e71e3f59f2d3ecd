"""The graph and its rewriting compute the same as the network."""

from __future__ import annotations

import copy

import pytest
import torch
from deepcam.model import network
from deepcam.model.engine import aotinductor, graph
from torch import nn


def test_the_graph_passes_channels_last_to_the_network_without_a_copy() -> None:
    seen = []

    class Probe(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((x.dtype, x.is_contiguous(memory_format=torch.channels_last), x.shape))
            return x

    inference = graph.InferenceGraph(Probe(), [0.0] * 4, [1.0] * 4, torch.bfloat16)
    assert inference(torch.rand(2, 16, 32, 16)).shape == (2, 16, 32)
    assert seen == [(torch.bfloat16, True, (2, 4, 16, 32))]


def test_margins_are_the_best_logit_minus_each_logit() -> None:
    """The network is the identity on three channels, which are therefore the logits."""
    inference = graph.InferenceGraph(nn.Identity(), [0.0] * 3, [1.0] * 3, torch.float32, (4, 0, 2))
    batch = torch.zeros(1, 1, 2, 16)
    batch[0, 0, :, [4, 0, 2]] = torch.tensor([[8.5, -1.0, 8.25], [1.0, 3.0, 2.0]])
    margins = inference.margins(batch)
    assert margins.dtype == torch.float16
    assert margins[0, :, 0].T.tolist() == [[0, 9.5, 0.25], [2, 0, 1]]


@pytest.fixture
def original() -> network.DeepLabV3Plus:
    """A network with random weights and batch norms that are not the identity."""
    torch.manual_seed(0)
    made = network.DeepLabV3Plus(width_multiplier=0.05).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.01, 0.1)
    return made


def test_rewriting_keeps_the_logits_and_leaves_no_batch_norm(
    original: network.DeepLabV3Plus,
) -> None:
    rewritten = copy.deepcopy(original)
    aotinductor.prepare(rewritten)
    batch = torch.rand(1, 4, 32, 48)
    with torch.inference_mode():
        expected = original(batch)
        assert expected.std() > 0
        assert torch.allclose(rewritten(batch), expected, rtol=0, atol=1e-4 * expected.abs().max())
    for module in rewritten.modules():
        assert not isinstance(module, nn.BatchNorm2d)
