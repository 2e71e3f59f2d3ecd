"""Names of devices, checked against this machine."""

from __future__ import annotations

import re

import torch

from deepcam.errors import InputError


def torch_device(name: str) -> torch.device:
    """Return the device cpu or cuda:N, a GPU always with its index. Raises InputError if there is no such device."""
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", name):
        raise InputError(f"device {name}: must be cpu or cuda:N, such as cuda:0")
    device = torch.device(name)
    if device.type != "cuda":
        return device
    index = device.index or 0
    if index >= torch.cuda.device_count():
        raise InputError(f"device {name}: PyTorch sees {torch.cuda.device_count()} CUDA devices; choose another")
    return torch.device("cuda", index)
