"""A C++ compiler that does not work, or whose engines would crash, is rejected before the compilation."""

from __future__ import annotations

from pathlib import Path

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
