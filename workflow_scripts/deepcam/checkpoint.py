"""Weights on disk: PyTorch checkpoints, and the parts in which share/ holds one."""

from __future__ import annotations

import hashlib
import itertools
import pickle
import re
import string
from pathlib import Path

import torch
from torch import Tensor, nn

from deepcam import files
from deepcam.climate import InputError

PART_BYTES = 4 * 2**20
PREFIX = "model_part_"
WHOLE = "model.pth"
SUMS = "SHA256SUMS"
"""Hashes in the format of coreutils' sha256sum: one line a part, in order, then one for the whole file."""

_LINE = re.compile(rf"([0-9a-f]{{64}}) [ *]({PREFIX}[a-z]{{2}}|{re.escape(WHOLE)})")


def load_state(path: Path) -> dict[str, Tensor]:
    """The state of a network from a checkpoint, floating-point tensors as float32 on the CPU.

    The state may be the file's top level or sit under "model" or "state_dict", with or without the "module." prefix of
    DistributedDataParallel. Raises InputError for a file that is no checkpoint or whose pickle wants more than tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint; make it with assemble_model.py or create_model.py") from None
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: refused, its pickle holds more than weights or is damaged ({_first_line(error)}); "
            "use a checkpoint that holds only tensors"
        ) from None
    except (RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"{path}: not a readable PyTorch checkpoint ({_first_line(error)}); fetch it again") from None
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(
            f'{path}: holds no network state; expected names and tensors, bare or under "model" or "state_dict"'
        )
    return {
        name.removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in state.items()
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def load_into(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy `state` into `network`; InputError names the first key that is missing, unexpected or of another shape."""
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
            f"checkpoint does not fit the network: {'; '.join(faults)}; check width multiplier, channels and classes"
        )
    network.load_state_dict(state)


def save_half(network: nn.Module, path: Path) -> None:
    """Save the state under "model", floating-point tensors as float16, atomically."""
    state = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    # An open file, not a name: torch.save would put the temporary name inside the archive.
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save({"model": state}, file)


def split(path: Path, directory: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Cut a file into parts of at most `part_bytes` bytes, model_part_aa onwards, with SHA256SUMS; return the parts.

    Parts already in `directory` are replaced. Raises InputError for a missing or empty file, or for over 676 parts.
    """
    if part_bytes < 1:
        raise InputError(f"part bytes is {part_bytes}; it must be at least 1")
    if not path.is_file() or not path.stat().st_size:
        raise InputError(f"{path}: no such file, or an empty one; give the model to split")
    suffixes = ["".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=2)]
    if path.stat().st_size > part_bytes * len(suffixes):
        raise InputError(f"{path}: over {len(suffixes)} parts of {part_bytes} bytes; raise the part size")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SUMS).unlink(missing_ok=True)
    for old in _parts(directory):
        old.unlink()
    parts = []
    with open(path, "rb") as source:
        for suffix in suffixes:
            if not (data := source.read(part_bytes)):
                break
            parts.append(directory / f"{PREFIX}{suffix}")
            with files.atomic_path(parts[-1]) as temporary:
                temporary.write_bytes(data)
    lines = [f"{files.sha256(part)}  {part.name}\n" for part in parts]
    with files.atomic_path(directory / SUMS) as temporary:
        temporary.write_text("".join(lines) + f"{files.sha256(path)}  {WHOLE}\n")
    return parts


def assemble(directory: Path, output: Path) -> None:
    """Join the parts in `directory` into `output`, atomically, after checking each against SHA256SUMS.

    Raises InputError that names the first missing, extra or altered part, before anything is written.
    """
    sums = _sums(directory / SUMS)
    whole = sums.pop(WHOLE)
    found = {part.name for part in _parts(directory)}
    advice = "restore share/ from the repository, or run split_model.py again"
    for name in sorted(sums.keys() - found):
        raise InputError(f"{directory / name}: missing, though {SUMS} lists it; {advice}")
    for name in sorted(found - sums.keys()):
        raise InputError(f"{directory / name}: extra, {SUMS} does not list it; {advice}")
    for name in sorted(sums):
        if files.sha256(directory / name) != sums[name]:
            raise InputError(f"{directory / name}: altered, its SHA-256 differs from {SUMS}; {advice}")
    digest = hashlib.sha256()
    with files.atomic_path(output) as temporary:
        with open(temporary, "wb") as target:
            for name in sorted(sums):
                data = (directory / name).read_bytes()
                digest.update(data)
                target.write(data)
        if digest.hexdigest() != whole:
            raise InputError(f"{directory}: the joined parts' SHA-256 differs from {WHOLE}'s in {SUMS}; {advice}")


def _parts(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob(f"{PREFIX}*") if path.suffix != files.TEMPORARY)


def _sums(path: Path) -> dict[str, str]:
    """SHA-256 by name; InputError if the list is missing, malformed, or lacks the whole or every part."""
    if not path.is_file():
        raise InputError(f"{path}: missing; it must list the SHA-256 of each model part (split_model.py writes it)")
    sums = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if not (match := _LINE.fullmatch(line)):
            raise InputError(f"{path}: line {number} is not a SHA-256 and a part's name; run split_model.py again")
        sums[match[2]] = match[1]
    if WHOLE not in sums or len(sums) < 2:
        raise InputError(f"{path}: must list at least one part and {WHOLE}; run split_model.py again")
    return sums
