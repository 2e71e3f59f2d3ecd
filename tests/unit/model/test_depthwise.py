"""Depthwise convolutions that are made of plain ones give the same output and the same gradients."""

import copy

import pytest
import torch
from deepcam.model import depthwise
from deepcam.model.network import DeepLabV3Plus
from torch import nn


@pytest.mark.parametrize("shape", [(2, 8, 6, 8), (1, 8, 7, 5), (2, 8, 1, 3)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (1, 3)])
def test_outputs_and_gradients_are_those_of_pytorch(shape, stride, dilation):
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(8, 8, 3, stride, dilation, dilation, groups=8, bias=False)).double()
    plain = copy.deepcopy(network)
    depthwise.use_plain_convolutions(plain)
    found = []
    for each in (network, plain):
        fields = torch.linspace(-1, 1, torch.Size(shape).numel(), dtype=torch.double).reshape(shape).requires_grad_()
        made = each(fields)
        (made * torch.arange(made.numel()).reshape(made.shape)).sum().backward()
        found.append((made, fields.grad, each[0].weight.grad))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


def test_the_slow_convolutions_of_the_network_are_replaced_and_no_others():
    network = DeepLabV3Plus(in_channels=4, width_multiplier=0.05)
    names = list(network.state_dict())
    depthwise.use_plain_convolutions(network)
    replaced = {name for name, module in network.named_modules() if "forward" in vars(module)}
    slow = {
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups > 1 and (module.stride[0] > 1 or module.dilation[0] > 1)
    }
    assert replaced == slow and len(slow) == 6
    assert list(network.state_dict()) == names
