"""Eager backend: the graph is run operator by operator, without compilation."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from deepcam.model import checkpoint, network
from deepcam.model.engine import graph
from deepcam.model.engine.runtime import InferenceFunction
from deepcam.model.fingerprint import ADVICE


def prepare(network: nn.Module) -> None:
    """Does nothing: the eager engine is the unchanged network."""


def package(inference: graph.InferenceGraph, build: graph.BuildTarget, path: Path, scratch: Path) -> None:
    """Save the graph's state at `path`, with the width multiplier that its modules are created from.

    An exported program would take seconds to load, because it imports the compiler and rebuilds every operator. The
    fingerprint holds the hash of the modules' source, so the state is loaded by the same code that saved it.
    """
    torch.save({"width_multiplier": inference.network.width_multiplier, "graph": inference.state_dict()}, path)


def load(path: Path, device: str) -> InferenceFunction:
    """Load the graph that `package` saved onto `device`. Raises InputError if the file is damaged."""
    saved = checkpoint.read(path, ADVICE)
    state = saved["graph"]
    channels = len(state["channels"])
    # The saved state has every tensor with its type and layout, so the network is created without memory.
    with torch.device("meta"):
        empty = network.DeepLabV3Plus(in_channels=channels, width_multiplier=saved["width_multiplier"])
    dtype = state["network.conv1.weight"].dtype
    inference = graph.InferenceGraph(empty, [0.0] * channels, [1.0] * channels, dtype, (0,) * channels)
    inference.load_state_dict(state, assign=True)
    return inference.to(device)


def versions() -> dict[str, str]:
    """Returns nothing: the engine depends on torch alone."""
    return {}
