"""DeepLabv3+ with an Xception encoder, as MLPerf HPC DeepCAM trains it for climate segmentation.

Module names and arithmetic follow src/deepCam/architecture/deeplab_xception.py of github.com/azrael417/mlperf-deepcam,
so that a checkpoint trained there loads here unchanged. Output stride 16, deconvolution decoder.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepcam.climate import CLASSES, MODEL_CHANNELS
from deepcam.errors import InputError
from deepcam.model import checkpoint

STRIDE = 16
"""Height and width of an input must be multiples of this."""


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """A network: its width relative to MLPerf's, the channels of a sample that it sees, and its checkpoint."""

    width_multiplier: float
    channels: tuple[int, ...]
    weights: Path | None = None
    """Checkpoint to load. Without one, weights are initialised at random."""

    def __post_init__(self) -> None:
        if not 0 < self.width_multiplier <= 1:
            raise InputError(f"width multiplier {self.width_multiplier}: must be over 0 and at most 1")

    def create(self) -> DeepLabV3Plus:
        """Make the network on the CPU, in training mode.

        Raises InputError if the checkpoint cannot be read or does not fit the network.
        """
        network = DeepLabV3Plus(in_channels=len(self.channels), width_multiplier=self.width_multiplier)
        if self.weights is not None:
            checkpoint.load_into(network, checkpoint.load_state(self.weights))
        return network


def scaled(width: int, multiplier: float) -> int:
    """Return `width` times `multiplier`, rounded to a multiple of 8 for tensor cores and SIMD, and at least 8."""
    return max(8, round(width * multiplier / 8) * 8)


class SeparableConv2d(nn.Module):
    """A depthwise 3x3 convolution followed by a pointwise one. Height and width are divided by `stride`."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, stride, dilation, dilation, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.conv1(x))


class Block(nn.Module):
    """A residual block. `widths` are the numbers of channels before, between and after its separable convolutions."""

    def __init__(self, widths: list[int], stride: int = 1, first: bool = False, last: bool = False) -> None:
        super().__init__()
        inputs, outputs = widths[0], widths[-1]
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            if i:
                layers.append(nn.ReLU())
            elif not first:
                # The caller has applied this activation. The placeholder keeps the numbering of MLPerf's checkpoints.
                layers.append(nn.Identity())
            layers += [SeparableConv2d(before, after), nn.BatchNorm2d(after)]
        if stride != 1 or last:
            layers.append(SeparableConv2d(outputs, outputs, stride))
        self.rep = nn.Sequential(*layers)
        self.projects = inputs != outputs or stride != 1
        if self.projects:
            self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Takes an `x` that is already rectified: MLPerf's in-place ReLU also rectifies the input of the skip path."""
        skip = self.skipbn(self.skip(x)) if self.projects else x
        return self.rep(x) + skip


class Xception(nn.Module):
    """Modified aligned Xception: maps (N, C, H, W) to features of stride 16 and low-level features of stride 4."""

    def __init__(self, in_channels: int, multiplier: float) -> None:
        super().__init__()
        w32, w64, w128, w256, w728, w1024, w1536, w2048 = (
            scaled(width, multiplier) for width in (32, 64, 128, 256, 728, 1024, 1536, 2048)
        )
        self.conv1 = nn.Conv2d(in_channels, w32, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(w32)
        self.conv2 = nn.Conv2d(w32, w64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(w64)
        self.block1 = Block([w64, w128, w128], stride=2, first=True)
        self.block2 = Block([w128, w256, w256], stride=2)
        self.block3 = Block([w256, w728, w728], stride=2)
        for i in range(4, 20):
            setattr(self, f"block{i}", Block([w728] * 4))
        self.block20 = Block([w728, w728, w1024], last=True)
        self.conv3 = SeparableConv2d(w1024, w1536, dilation=2)
        self.bn3 = nn.BatchNorm2d(w1536)
        self.conv4 = SeparableConv2d(w1536, w1536, dilation=2)
        self.bn4 = nn.BatchNorm2d(w1536)
        self.conv5 = SeparableConv2d(w1536, w2048, dilation=2)
        self.bn5 = nn.BatchNorm2d(w2048)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        # The low-level features are rectified too, because MLPerf's block2 begins with an in-place ReLU.
        low = x = functional.relu(self.block1(x))
        for i in range(2, 20):
            x = functional.relu(getattr(self, f"block{i}")(x))
        x = self.block20(x)
        x = functional.relu(self.bn3(self.conv3(x)))
        x = functional.relu(self.bn4(self.conv4(x)))
        return functional.relu(self.bn5(self.conv5(x))), low


class AtrousBranch(nn.Module):
    """One branch of the atrous spatial pyramid: a 1x1 convolution at rate 1, otherwise a dilated 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int, rate: int) -> None:
        super().__init__()
        kernel, padding = (1, 0) if rate == 1 else (3, rate)
        self.atrous_convolution = nn.Conv2d(inputs, outputs, kernel, 1, padding, rate, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.atrous_convolution(x)))


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that doubles height and width exactly."""
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=False)


def _deconvolution(width: int) -> nn.Sequential:
    return nn.Sequential(_doubling(width, width), nn.BatchNorm2d(width), nn.ReLU())


class Decoder(nn.Module):
    """Maps features of stride 16 and low-level features of stride 4 to logits of stride 1."""

    def __init__(self, width: int, low_width: int, num_classes: int) -> None:
        super().__init__()
        self.deconv1 = _deconvolution(width)
        self.deconv2 = _deconvolution(width)
        self.conv1 = nn.Sequential(
            nn.Conv2d(width + low_width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
        )
        self.deconv3 = _deconvolution(width)
        self.last_deconv = nn.Sequential(_doubling(width, num_classes))

    def forward(self, x: Tensor, low: Tensor) -> Tensor:
        x = self.deconv2(self.deconv1(x))
        x = self.conv1(torch.cat((x, low), dim=1))
        return self.last_deconv(self.deconv3(x))


class DeepLabV3Plus(nn.Module):
    """Maps normalised fields (N, in_channels, H, W) to logits (N, num_classes, H, W). H and W are multiples of 16.

    `width_multiplier` scales the width of every layer. 1.0 is the MLPerf network with 56.45 million parameters.
    """

    def __init__(
        self, in_channels: int = len(MODEL_CHANNELS), num_classes: int = len(CLASSES), width_multiplier: float = 1.0
    ) -> None:
        super().__init__()
        self.width_multiplier = width_multiplier
        features, width, low, low_width = (scaled(n, width_multiplier) for n in (2048, 256, 128, 48))
        self.xception_features = Xception(in_channels, width_multiplier)
        self.aspp1 = AtrousBranch(features, width, 1)
        self.aspp2 = AtrousBranch(features, width, 6)
        self.aspp3 = AtrousBranch(features, width, 12)
        self.aspp4 = AtrousBranch(features, width, 18)
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(features, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.conv1 = nn.Conv2d(5 * width, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(low, low_width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(low_width)
        self.upsample = Decoder(width, low_width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x, low = self.xception_features(x)
        pooled = self.global_avg_pool(x).expand(-1, -1, *x.shape[2:])
        x = torch.cat((self.aspp1(x), self.aspp2(x), self.aspp3(x), self.aspp4(x), pooled), dim=1)
        x = functional.relu(self.bn1(self.conv1(x)))
        return self.upsample(x, functional.relu(self.bn2(self.conv2(low))))
