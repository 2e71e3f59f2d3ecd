"""A full training step per batch, for mode train, which measures throughput only.

It uses autocast's mixed precision (float16 with loss scaling on a GPU, bfloat16 on a CPU that is faster in it), the
loss of training.py, and DistributedDataParallel over NCCL or Gloo if there are several ranks. Only data files are read:
labels are random and stay in memory. The weights are not saved.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

import torch
from torch import Tensor, distributed, nn

from deepcam.benchmark.job import Training
from deepcam.benchmark.ranks import Ranks
from deepcam.climate import CLASSES
from deepcam.model import training
from deepcam.model.network import NetworkSpec
from deepcam.model.training_precision import training_precision

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}

EVENT_FRACTION = 0.02
"""Fraction of the random labels that are events instead of background, about that of the archive."""


class TrainStep:
    """Trains on a raw batch (n, H, W, C) float32 on its device: forward pass, loss, backward pass, weight update."""

    def __init__(
        self, recipe: Training, device: str, shape: tuple[int, int, int], batch_size: int, ranks: Ranks
    ) -> None:
        self.device = torch.device(device)
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True  # all batches but an epoch's last have one shape
        network: nn.Module = NetworkSpec(recipe.width_multiplier, recipe.channels).create()
        network.to(self.device, memory_format=torch.channels_last).train()
        if ranks.size > 1:
            _init_process_group(self.device, ranks)
            network = nn.parallel.DistributedDataParallel(network, gradient_as_bucket_view=True)
        self.network = network
        self.optimizer = torch.optim.AdamW(network.parameters(), weight_decay=training.WEIGHT_DECAY, fused=True)
        dtype = DTYPES.get(training_precision(device))
        self.autocast = torch.autocast(self.device.type, dtype) if dtype else contextlib.nullcontext()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=dtype == torch.float16)
        self.channels = torch.tensor(recipe.channels, device=self.device)
        self.low, high = (torch.tensor(values, device=self.device) for values in (recipe.minimum, recipe.maximum))
        self.range = torch.where(high > self.low, high - self.low, 1.0)
        events = torch.rand(batch_size, *shape[:2], device=self.device) < EVENT_FRACTION
        self.truth = torch.where(events, torch.randint(1, len(CLASSES), events.shape, device=self.device), 0)

    def __call__(self, batch: Tensor) -> None:
        fields = ((batch.index_select(3, self.channels) - self.low) / self.range).permute(0, 3, 1, 2)
        with self.autocast:
            logits = self.network(fields)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(training.loss(logits, self.truth[: len(batch)])).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()


def describe(recipe: Training, device: str) -> dict[str, Any]:
    """Return the description for the record, in place of an engine's fingerprint."""
    return {
        "backend": "training",
        "precision": training_precision(device),
        "width_multiplier": recipe.width_multiplier,
        "channels": list(recipe.channels),
        "torch": torch.__version__,
        "accuracy": [],
    }


def _init_process_group(device: torch.device, ranks: Ranks) -> None:
    """Initialise torch's default process group with all ranks, at an address that rank 0 broadcasts over MPI."""
    one_node = ranks.local_size == ranks.size
    with socket.socket() as free:
        free.bind(("", 0))
        host = "127.0.0.1" if one_node else socket.gethostname()
        address = ranks.broadcast(f"tcp://{host}:{free.getsockname()[1]}")
    if one_node:
        # Otherwise Gloo looks up this host's name, which may fail in a container.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", init_method=address, rank=ranks.rank, world_size=ranks.size
    )
