"""DeepLabv3+ of MLPerf DeepCAM a second time, as plain functions of a state: what the project's own network must equal.

Written from the description of src/deepCam/architecture/deeplab_xception.py in github.com/azrael417/mlperf-deepcam, at
commit 00f0e22, and not from deepcam/network.py. fixtures/mlperf_deepcam_state.txt has the name and shape of every
tensor in the state of that file's DeepLabv3_plus(n_input=4, n_classes=3), in its order.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]

NAMES_AND_SHAPES = Path(__file__).parent / "fixtures/mlperf_deepcam_state.txt"


def shapes() -> dict[str, tuple[int, ...]]:
    lines = (line.split() for line in NAMES_AND_SHAPES.read_text().splitlines())
    return {name: tuple(int(length) for length in "".join(shape).split("x") if length) for name, *shape in lines}


def random_state(seed: int) -> State:
    """Random weights that keep activations near 1, and batch norms that are far from the identity."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1000)
        elif len(shape) == 4:
            # A deconvolution of stride 2 has its inputs first, and reaches each output with a quarter of its kernel.
            fan_in = shape[0] * 9 / 4 if "deconv" in name else shape[1] * shape[2] * shape[3]
            state[name] = torch.randn(shape, generator=generator) * fan_in**-0.5
        elif name.endswith(("running_mean", "bias")):
            state[name] = torch.randn(shape, generator=generator) / 4
        else:
            state[name] = 0.5 + torch.rand(shape, generator=generator)
    return state


def logits(state: State, x: Tensor) -> Tensor:
    """Fields (N, 4, H, W) to logits (N, 3, H, W), in evaluation mode, output stride 16."""
    x, low = _xception(state, x)
    branches = [
        _unit(state, f"aspp{number}.atrous_convolution", f"aspp{number}.bn", x, padding=padding, dilation=rate)
        for number, rate, padding in ((1, 1, 0), (2, 6, 6), (3, 12, 12), (4, 18, 18))
    ]
    pooled = _unit(state, "global_avg_pool.1", "global_avg_pool.2", functional.adaptive_avg_pool2d(x, 1))
    branches.append(functional.interpolate(pooled, size=x.shape[2:], mode="bilinear", align_corners=True))
    x = _unit(state, "conv1", "bn1", torch.cat(branches, 1))
    low = _unit(state, "conv2", "bn2", low)

    x = _deconvolution(state, "upsample.deconv1", x)
    x = _deconvolution(state, "upsample.deconv2", x)
    x = torch.cat((x, low), 1)
    x = _unit(state, "upsample.conv1.0", "upsample.conv1.1", x, padding=1)
    x = _unit(state, "upsample.conv1.3", "upsample.conv1.4", x, padding=1)
    x = functional.conv2d(x, state["upsample.conv1.6.weight"], state["upsample.conv1.6.bias"])
    x = _deconvolution(state, "upsample.deconv3", x)
    return _doubled(state, "upsample.last_deconv.0", x)


def _xception(state: State, x: Tensor) -> tuple[Tensor, Tensor]:
    def of(name: str) -> str:
        return f"xception_features.{name}"

    x = _unit(state, of("conv1"), of("bn1"), x, stride=2, padding=1)
    x = _unit(state, of("conv2"), of("bn2"), x, padding=1)
    low = x = _block(state, of("block1"), x, stride=2)
    x = _block(state, of("block2"), x, stride=2)  # its first ReLU, in place, rectifies `low`
    x = _block(state, of("block3"), x, stride=2)
    for number in range(4, 21):
        x = _block(state, of(f"block{number}"), x)
    for number in (3, 4, 5):
        x = _separable(state, of(f"conv{number}"), x, dilation=2)
        x = functional.relu(_norm(state, of(f"bn{number}"), x))
    return x, low


def _block(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """Layers by number: a separable convolution, a batch norm, or, where the state has nothing, a ReLU in place.

    The first ReLU works on the block's own input, before the skip path reads that. A stride is the last layer's.
    """
    last = max(int(key.split(".")[3]) for key in state if key.startswith(f"{name}.rep."))
    y = x
    for number in range(last + 1):
        layer = f"{name}.rep.{number}"
        if f"{layer}.conv1.weight" in state:
            y = _separable(state, layer, y, stride if number == last else 1)
        elif f"{layer}.running_mean" in state:
            y = _norm(state, layer, y)
        else:
            y = functional.relu_(y)
    if f"{name}.skip.weight" in state:
        x = _norm(state, f"{name}.skipbn", functional.conv2d(x, state[f"{name}.skip.weight"], stride=stride))
    return y + x


def _separable(state: State, name: str, x: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """Zeros around, a 3x3 convolution of each channel alone, a 1x1 convolution over channels."""
    x = functional.pad(x, [dilation] * 4)
    x = functional.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, dilation=dilation, groups=x.shape[1])
    return functional.conv2d(x, state[f"{name}.pointwise.weight"])


def _unit(state: State, convolution: str, norm: str, x: Tensor, **geometry: int) -> Tensor:
    x = functional.conv2d(x, state[f"{convolution}.weight"], **geometry)
    return functional.relu(_norm(state, norm, x))


def _deconvolution(state: State, name: str, x: Tensor) -> Tensor:
    return functional.relu(_norm(state, f"{name}.1", _doubled(state, f"{name}.0", x)))


def _doubled(state: State, name: str, x: Tensor) -> Tensor:
    return functional.conv_transpose2d(x, state[f"{name}.weight"], stride=2, padding=1, output_padding=1)


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    """(x - mean) / sqrt(variance + 1e-5), then weight and bias, per channel."""
    mean, variance, weight, bias = (
        state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias
