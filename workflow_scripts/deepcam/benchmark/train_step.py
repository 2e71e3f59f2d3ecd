"""One full training step a batch, for the mode train: what it takes to keep training fed. Throughput only.

Mixed precision as autocast gives it (float16 with loss scaling on a GPU, bfloat16 on a CPU with AMX),
and DistributedDataParallel over NCCL or Gloo where there is more than one rank. Labels are made up once and stay in
memory: only the data files are read. The loss is what training.py trains with, the weights are not kept.
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
from deepcam.model.engine_spec import resolve_precision
from deepcam.model.network import DeepLabV3Plus

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}

EVENTS = 0.02
"""Share of the made-up label pixels that are no background, about the archive's."""


class TrainStep:
    """Called with a raw batch (n, H, W, C) float32 on its device: forward, loss, backward, update."""

    def __init__(self, recipe: Training, device: str, shape: tuple[int, int, int], batch_size: int, me: Ranks) -> None:
        self.device = torch.device(device)
        torch.manual_seed(0)
        network: nn.Module = DeepLabV3Plus(len(recipe.channels), width_multiplier=recipe.width_multiplier)
        network.to(self.device, memory_format=torch.channels_last).train()
        if me.size > 1:
            _meet(self.device, me)
            network = nn.parallel.DistributedDataParallel(network)
        self.network = network
        self.optimizer = torch.optim.AdamW(network.parameters(), weight_decay=training.WEIGHT_DECAY, fused=True)
        dtype = DTYPES.get(precision(device))
        self.autocast = torch.autocast(self.device.type, dtype) if dtype else contextlib.nullcontext()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=dtype == torch.float16)
        self.channels = torch.tensor(recipe.channels, device=self.device)
        self.low, high = (torch.tensor(values, device=self.device) for values in (recipe.minimum, recipe.maximum))
        self.range = torch.where(high > self.low, high - self.low, 1.0)
        events = torch.rand(batch_size, *shape[:2], device=self.device) < EVENTS
        self.truth = torch.where(events, torch.randint(1, len(CLASSES), events.shape, device=self.device), 0)

    def __call__(self, batch: Tensor) -> None:
        fields = ((batch.index_select(3, self.channels) - self.low) / self.range).permute(0, 3, 1, 2)
        with self.autocast:
            logits = self.network(fields)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(training.loss(logits, self.truth[: len(batch)])).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()


def precision(device: str) -> str:
    """What the network computes in on `device`."""
    return resolve_precision("auto", device)


def describe(recipe: Training, device: str) -> dict[str, Any]:
    """What a record says in the place of an engine's fingerprint."""
    return {
        "backend": "training",
        "precision": precision(device),
        "width_multiplier": recipe.width_multiplier,
        "channels": list(recipe.channels),
        "torch": torch.__version__,
        "accuracy": [],
    }


def _meet(device: torch.device, me: Ranks) -> None:
    """Join all ranks into torch's default process group, at an address that rank 0 tells over MPI."""
    one_node = me.local_size == me.size
    with socket.socket() as free:
        free.bind(("", 0))
        host = "127.0.0.1" if one_node else socket.gethostname()
        address = me.broadcast(f"tcp://{host}:{free.getsockname()[1]}")
    if one_node:
        # Gloo would look this host's name up, which in a container may lead nowhere.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", init_method=address, rank=me.rank, world_size=me.size
    )
