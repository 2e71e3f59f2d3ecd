"""Eager: the graph as it is, operator by operator."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from deepcam.model import network
from deepcam.model.engine import graph
from deepcam.model.engine.runtime import InferenceFunction


def prepare(network: nn.Module) -> None:
    """Nothing to change: eager is the yardstick."""


def package(inference: graph.InferenceGraph, build: graph.BuildTarget, path: Path, scratch: Path) -> None:
    """Save the graph's state at `path`, and what its modules are made from.

    Not an exported program, which takes seconds to load: it would bring in the compiler and rebuild every operator. The
    modules' source is in the fingerprint, so what loads the state is what saved it.
    """
    torch.save({"width_multiplier": inference.network.width_multiplier, "graph": inference.state_dict()}, path)


def load(path: Path, device: str) -> InferenceFunction:
    saved = torch.load(path, map_location=device, weights_only=True)
    state = saved["graph"]
    channels = len(state["channels"])
    # The state brings every tensor in its own type and layout, so the network is made without any.
    with torch.device("meta"):
        empty = network.DeepLabV3Plus(in_channels=channels, width_multiplier=saved["width_multiplier"])
    dtype = state["network.conv1.weight"].dtype
    inference = graph.InferenceGraph(empty, [0.0] * channels, [1.0] * channels, dtype, (0,) * channels)
    inference.load_state_dict(state, assign=True)
    return inference


def versions() -> dict[str, str]:
    """Nothing but torch."""
    return {}
