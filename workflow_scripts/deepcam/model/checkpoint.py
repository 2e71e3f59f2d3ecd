"""Read and write the weights of a network as PyTorch checkpoints, which are untrusted files."""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from deepcam import files
from deepcam.errors import InputError

_PREFIX = re.compile(r"^(module\.|_orig_mod\.)+")
"""What DistributedDataParallel and torch.compile put before the names of a network's tensors."""

_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64)
"""Types of the tensors of a network that is neither quantized nor complex. Only counters are integers."""

_COUNTER = "num_batches_tracked"
"""The batches that a batch norm was trained with. Inference does not read it, and some programs do not save it."""


def read(path: Path, advice: str = "fetch it again, or save it again with torch.save") -> Any:
    """Return what torch.save wrote to a file, with its tensors on the CPU. Code in the file does not run.

    Raises InputError, which ends with `advice`, if the file is missing, damaged, unpacks to more than its own size, or
    holds more than tensors and plain values.
    """
    if not path.exists():
        raise InputError(f"{path}: no such checkpoint; make it with assemble_model.py")
    if not path.is_file():
        raise InputError(f"{path}: not a file; give the path of a checkpoint")
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if _unpacked_bytes(file) > os.fstat(file.fileno()).st_size:
                raise InputError(f"{path}: refused, because it unpacks to more than its own size; {advice}")
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
        except InputError:
            raise
        except Exception as error:  # PyTorch's reader raises errors of any type for damaged files
            raise InputError(f"{path}: refused as a checkpoint, because {_reason(error)}; {advice}") from None


def _unpacked_bytes(file: IO[bytes]) -> int:
    """Return the size of all members of a zip archive; 0 for a file in PyTorch's older format."""
    if not zipfile.is_zipfile(file):
        return 0
    with zipfile.ZipFile(file) as archive:
        return sum(member.file_size for member in archive.infolist())


def _reason(error: Exception) -> str:
    """Say why PyTorch could not read a file, without its advice to run the code that is in the file."""
    if found := re.search(r"GLOBAL (\S+)", str(error)):
        return f"it holds {found[1]}, which is no tensor"
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return "it is damaged or of another kind"
    return f"it cannot be read ({type(error).__name__}: {str(error).strip().partition(chr(10))[0]})"


def load_state(path: Path) -> dict[str, Tensor]:
    """Read the state of a network from a checkpoint. Floating-point tensors become float32, on the CPU.

    The state may be the file's top level or stand under "model" or "state_dict", with or without the prefixes of
    DistributedDataParallel and torch.compile. Raises InputError, which names the tensor, for one that no trained
    network has: it stands in the file twice, is larger than the file, is not dense, or has impossible values.
    """
    saved = _saved_state(path)
    loaded: dict[str, Tensor] = {}
    room = path.stat().st_size
    for full_name, value in saved.items():
        name = _PREFIX.sub("", full_name)
        fault = None
        if name in loaded:
            fault = "stands in it twice, with and without a prefix; save one of the two states"
        elif value.dtype not in _TYPES or value.layout != torch.strided or value.is_meta:
            fault = (
                f"is {value.dtype}, {value.layout} on {value.device.type}; save the network as floating-point numbers"
            )
        elif (room := room - value.nbytes) < 0:
            fault = f"{list(value.shape)} is larger than the file; save a copy of its values"
        else:
            loaded[name] = value.float() if value.is_floating_point() else value
            fault = _impossible_values(name, loaded[name])
        if fault:
            raise InputError(f"{path}: {name} {fault}")
    return loaded


def _saved_state(path: Path) -> dict[str, Tensor]:
    """Return the state of a network as it was saved."""
    state = read(path)
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    named = isinstance(state, dict) and all(isinstance(name, str) for name in state)
    if not named or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(
            f'{path}: holds no network state; it must map names to tensors, at its top level or under "model" or '
            '"state_dict"'
        )
    return state


def _impossible_values(name: str, value: Tensor) -> str | None:
    """Say what is wrong with the values of a tensor; None if a trained network may have them."""
    if not value.isfinite().all():
        return "has values that are not finite; the network diverged, or float16 could not hold them: use other weights"
    if name.endswith("running_var") and (value < 0).any():
        return "has negative variances, which no training gives; use other weights"
    return None


def load_into(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy `state` into `network`, whose counters of batches may be missing from it.

    Raises InputError with the number of keys that are missing, unexpected or of another shape or kind of number, and
    the first of each.
    """
    own = network.state_dict()
    state = {name: value for name, value in own.items() if name.endswith(_COUNTER)} | state
    shared = [name for name in own if name in state]
    faults = []
    if missing := [name for name in own if name not in state]:
        faults.append(f"{len(missing)} missing, first {missing[0]} {list(own[missing[0]].shape)}")
    if unexpected := [name for name in state if name not in own]:
        faults.append(f"{len(unexpected)} unexpected, first {unexpected[0]} {list(state[unexpected[0]].shape)}")
    if differing := [name for name in shared if own[name].shape != state[name].shape]:
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
    for name in shared:
        if own[name].is_floating_point() and not state[name].is_floating_point():
            raise InputError(f"checkpoint: {name} is {state[name].dtype}; save the network as floating-point numbers")
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
