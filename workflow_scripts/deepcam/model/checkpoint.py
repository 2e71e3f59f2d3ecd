"""Read and write the weights of a network as PyTorch checkpoints."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from deepcam import files
from deepcam.errors import InputError


def load_state(path: Path) -> dict[str, Tensor]:
    """Read the state of a network from a checkpoint. Floating-point tensors become float32, on the CPU.

    The state may be the file's top level or stand under "model" or "state_dict", with or without the "module." prefix
    of DistributedDataParallel. Raises InputError if the file is no checkpoint or its pickle holds more than tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint; make it with assemble_model.py") from None
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: refused, because its pickle holds more than weights or is damaged ({_first_line(error)}); "
            "use a checkpoint that holds only tensors"
        ) from None
    except (RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"{path}: not a readable PyTorch checkpoint ({_first_line(error)}); fetch it again") from None
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(
            f'{path}: holds no network state; it must map names to tensors, at its top level or under "model" or '
            '"state_dict"'
        )
    return {
        name.removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in state.items()
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def load_into(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy `state` into `network`.

    Raises InputError with the number of keys that are missing, unexpected or of another shape, and the first of each.
    """
    own = network.state_dict()
    faults = []
    if missing := [name for name in own if name not in state]:
        faults.append(f"{len(missing)} missing, first {missing[0]} {list(own[missing[0]].shape)}")
    if unexpected := [name for name in state if name not in own]:
        faults.append(f"{len(unexpected)} unexpected, first {unexpected[0]} {list(state[unexpected[0]].shape)}")
    if differing := [name for name in own if name in state and own[name].shape != state[name].shape]:
        name = differing[0]
        faults.append(
            f"{len(differing)} of another shape, first {name} {list(state[name].shape)} in the checkpoint, "
            f"{list(own[name].shape)} in the network"
        )
    if faults:
        raise InputError(
            f"checkpoint does not fit the network: {'; '.join(faults)}; {_width(state)}"
            "check width multiplier, channels and classes"
        )
    network.load_state_dict(state)


def _width(state: dict[str, Tensor]) -> str:
    """Guess the width multiplier of a state from the encoder's last layer, as part of an error message."""
    if (last := state.get("xception_features.bn5.weight")) is None:
        return ""
    return f"it looks like width multiplier {len(last) / 2048:.2g}; "


def save_half(network: nn.Module, path: Path) -> None:
    """Save the network's state under "model", atomically. Floating-point tensors are rounded to float16.

    Raises InputError if a value is too large for float16. Values that it rounds to 0 are far below the epsilon of
    batch normalisation.
    """
    state = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    for name, value in state.items():
        if not value.isfinite().all():
            raise InputError(f"{path}: {name} has values that float16 cannot hold; train with a lower learning rate")
    # torch.save stores the name of a file that it opens itself, which here is temporary.
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save({"model": state}, file)
