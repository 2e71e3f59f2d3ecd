"""Eager: the exported graph as it is, operator by operator."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from deepcam.engine import graph
from deepcam.engine.runtime import Run


def prepare(network: nn.Module, device: str) -> None:
    """Nothing to change: eager is the yardstick."""


def package(inference: graph.InferenceGraph, build: graph.Build, path: Path, scratch: Path) -> None:
    """Save the exported graph at `path`."""
    program = graph.export(inference, build)
    # Else the example batch is saved too, which at full size outweighs the network.
    program.example_inputs = None
    with warnings.catch_warnings():
        # channels_last weights count as incomplete there, yet are saved whole, with their strides.
        warnings.filterwarnings("ignore", "No complete tensor found in the group")
        torch.export.save(program, str(path))


def load(path: Path, device: str) -> Run:
    program = torch.export.load(str(path))
    if device != "cpu":
        # Built on one GPU, run by a local rank on any.
        program = torch.export.passes.move_to_device_pass(program, device)
    return program.module()


def versions() -> dict[str, str]:
    """Nothing but torch."""
    return {}
