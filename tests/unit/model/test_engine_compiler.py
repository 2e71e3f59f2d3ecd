"""A C++ compiler that does not work, or whose engines would crash, is rejected before the compilation."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from deepcam.errors import InputError
from deepcam.model.engine import aotinductor, graph
from servers import require
from torch import nn
from torch._inductor import config


def package_with(compiler: Path | str, tmp_path: Path) -> None:
    untouched = graph.InferenceGraph(nn.Identity(), [0.0] * 4, [1.0] * 4, torch.float32)
    with config.patch({"cpp.cxx": (None, str(compiler))}):
        aotinductor.package(
            untouched, graph.BuildTarget("fp32", "cpu", [16, 16, 16], 1), tmp_path / "engine.pt2", tmp_path
        )


@pytest.mark.parametrize(
    ("flags", "error"),
    [("-static-libstdc++", "links the C[+][+] library statically"), ("--no-such-flag", "needs a C[+][+] compiler")],
)
def test_an_unusable_compiler_is_rejected(flags: str, error: str, tmp_path: Path) -> None:
    require("g++", "g++")
    wrapper = tmp_path / "wrapped-g++"
    wrapper.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec g++ --version\nexec g++ {flags} "$@"\n')
    wrapper.chmod(0o755)
    with pytest.raises(InputError, match=error):
        package_with(wrapper, tmp_path)


def test_a_missing_compiler_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler that works \(.*\); install g\+\+, or set CXX$"):
        package_with(tmp_path / "nothing-here", tmp_path)


def test_a_temporary_folder_without_room_is_refused_before_the_compilation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=100))
    inference = graph.InferenceGraph(nn.Conv2d(4, 4, 1), [0.0] * 4, [1.0] * 4, torch.float32)
    target = graph.BuildTarget("fp32", "cpu", [16, 16, 16], 1)
    with pytest.raises(InputError, match="100 bytes are free, but an engine of aotinductor takes 160 "):
        aotinductor.package(inference, target, tmp_path / "engine.pt2", tmp_path)


def test_a_package_that_the_temporary_folder_cannot_hold_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "engine.pt2", "w") as package:
        package.writestr("library.so", bytes(200))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(InputError, match="100 bytes are free, but an engine of aotinductor takes 200 "):
        aotinductor.load(tmp_path / "engine.pt2", "cpu")
