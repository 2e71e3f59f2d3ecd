"""A module in place of NVIDIA's KvikIO, which reads into arrays of the host.

Each read does its first half at once and its second half when somebody waits for it, so that a wait that is missing
always shows: a batch that is handed out too early lacks the second halves, and memory that is filled too early has
lost the first halves of what it held.
"""

from __future__ import annotations

import enum
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest


class CompatMode(enum.Enum):
    OFF = 0
    ON = 1
    AUTO = 2


class Read:
    """What `pread` returns."""

    def __init__(self, descriptor: int, target: np.ndarray, offset: int) -> None:
        self._descriptor, self._target, self._offset = descriptor, target, offset
        self._read(0, len(target) // 2)

    def get(self) -> int:
        self._read(len(self._target) // 2, len(self._target))
        return len(self._target)

    def _read(self, start: int, end: int) -> None:
        view = self._target[start:end]
        if os.preadv(self._descriptor, [view], self._offset + start) != len(view):
            raise RuntimeError("POSIX error on pread:\n EOF")


class CuFile:
    """An open file. Fields of the class say what a test wants it to be like."""

    direct = True
    read = Read
    opened: list[CuFile]

    def __init__(self, path: Path, flags: str) -> None:
        assert flags == "r"
        self._descriptor = os.open(path, os.O_RDONLY)
        self.opened.append(self)

    def fileno(self) -> int:
        return self._descriptor

    def is_direct_io_supported(self) -> bool:
        return self.direct

    def pread(self, target: np.ndarray, size: int, file_offset: int) -> Read:
        assert target.flags.c_contiguous
        return self.read(self._descriptor, target.reshape(-1).view(np.uint8)[:size], file_offset)

    def close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    @property
    def closed(self) -> bool:
        return self._descriptor == -1


class Defaults(types.ModuleType):
    """The settings of the process. It keeps those that are in `refused`."""

    def __init__(self) -> None:
        super().__init__("kvikio.defaults")
        self.settings: dict[str, Any] = {
            "compat_mode": CompatMode.AUTO, "num_threads": 1, "task_size": 4 << 20, "bounce_buffer_size": 16 << 20,
            "gds_threshold": 1 << 20, "auto_direct_io_read": False,
        }  # fmt: skip
        self.refused: set[str] = set()

    def set(self, settings: dict[str, Any]) -> None:
        assert settings.keys() <= self.settings.keys()
        self.settings |= {key: value for key, value in settings.items() if key not in self.refused}

    def get(self, key: str) -> Any:
        return self.settings[key]


class PretendKvikio(types.ModuleType):
    """The module. Every test gets one of its own."""

    CompatMode = CompatMode
    CuFile: type[CuFile]
    defaults: Defaults

    def __init__(self) -> None:
        super().__init__("kvikio")
        self.CuFile = type("CuFile", (CuFile,), {"opened": []})
        self.defaults = Defaults()


def install(monkeypatch: pytest.MonkeyPatch) -> PretendKvikio:
    """Put a new one into the place of the real module."""
    module = PretendKvikio()
    monkeypatch.setitem(sys.modules, "kvikio", module)
    monkeypatch.setitem(sys.modules, "kvikio.defaults", module.defaults)
    return module
