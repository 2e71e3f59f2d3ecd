"""The graph that every engine runs, from a raw batch to a mask, and its rewriting and export."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from deepcam.climate import MODEL_CHANNELS


class InferenceGraph(nn.Module):
    """Maps a raw batch (N, H, W, C) float32, contiguous, to a mask (N, H, W) of class numbers.

    It selects `channels`, normalises them with (x - minimum) / (maximum - minimum) as MLPerf DeepCAM does, runs
    `network` in `dtype`, and takes the class with the largest logit. `minimum` and `maximum` are those of the dataset,
    one value per selected channel. The network is put into evaluation mode.
    """

    mask_dtype = torch.uint8

    def __init__(
        self,
        network: nn.Module,
        minimum: list[float],
        maximum: list[float],
        dtype: torch.dtype,
        channels: tuple[int, ...] = MODEL_CHANNELS,
    ) -> None:
        super().__init__()
        low, high = torch.tensor(minimum, dtype=torch.float32), torch.tensor(maximum, dtype=torch.float32)
        self.register_buffer("channels", torch.tensor(channels))
        self.register_buffer("minimum", low)
        # A constant channel becomes 0 instead of NaN.
        self.register_buffer("range", torch.where(high > low, high - low, 1.0))
        self.network = network.eval().to(dtype=dtype, memory_format=torch.channels_last)
        self.dtype = dtype

    def forward(self, batch: Tensor) -> Tensor:
        return self.logits(batch).argmax(1).to(self.mask_dtype)

    def margins(self, batch: Tensor) -> Tensor:
        """Return the logit margins (N, classes, H, W) float16: best logit minus this class's logit, at each pixel.

        The margin of the predicted class is 0.
        """
        logits = self.logits(batch)
        return (logits.amax(1, keepdim=True) - logits).half()

    def logits(self, batch: Tensor) -> Tensor:
        """Return the network's logits (N, classes, H, W) in `dtype`."""
        fields = ((batch.index_select(3, self.channels) - self.minimum) / self.range).to(self.dtype)
        # Channels stay innermost in memory, so for the network this is channels_last, without a copy.
        return self.network(fields.permute(0, 3, 1, 2))


def fold_batch_norms(network: nn.Module) -> None:
    """Fold each batch norm, in place, into the convolution registered before it. `network` is in evaluation mode."""
    convolution = None
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            convolution = module
        elif isinstance(module, nn.BatchNorm2d):
            convolution.weight, convolution.bias = fuse_conv_bn_weights(
                convolution.weight,
                convolution.bias,
                module.running_mean,
                module.running_var,
                module.eps,
                module.weight,
                module.bias,
                transpose=isinstance(convolution, nn.ConvTranspose2d),
            )
            network.set_submodule(name, nn.Identity())


@dataclasses.dataclass(frozen=True)
class BuildTarget:
    """The batches that an engine is built for: 1..max_batch samples of `shape` [H, W, C], on one device."""

    precision: str
    device: str
    shape: list[int]
    max_batch: int
    dataset: Path | None = None
    """dataset.json, on whose samples an int8 engine is calibrated."""


def example(target: BuildTarget) -> Tensor:
    """Return a batch to export with. It has 2 samples if possible, because torch.export takes a size of 1 as fixed."""
    return torch.zeros(min(target.max_batch, 2), *target.shape, device=target.device)


def dynamic_shapes(max_batch: int) -> tuple[dict[int, Any] | None]:
    """Return the variable dimensions of the graph's only input, for torch.export."""
    return ({0: torch.export.Dim("batch", min=1, max=max_batch)} if max_batch > 1 else None,)


def export(graph: InferenceGraph, target: BuildTarget) -> torch.export.ExportedProgram:
    """Export `graph` for the batches of `target`."""
    with torch.no_grad():
        return torch.export.export(graph, (example(target),), dynamic_shapes=dynamic_shapes(target.max_batch))
