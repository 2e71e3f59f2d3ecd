"""Compiling for a GPU finds the CUDA toolkit or reports where it looked."""

from __future__ import annotations

from pathlib import Path

import pytest
from deepcam.errors import InputError
from deepcam.model.engine import aotinductor


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def install(folder: Path) -> None:
    for header in aotinductor.HEADERS:
        (folder / "include" / header).parent.mkdir(parents=True, exist_ok=True)
        (folder / "include" / header).touch()


def test_a_toolkit_is_found_through_a_link_to_its_compiler(tmp_path: Path) -> None:
    install(tmp_path / "cuda")
    nvcc = tmp_path / "cuda/bin/nvcc"
    nvcc.parent.mkdir()
    nvcc.touch(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/nvcc").symlink_to(nvcc)
    assert aotinductor.find_cuda_toolkit() == tmp_path / "cuda"


def test_cuda_home_has_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "mine")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "mine"))
    assert aotinductor.find_cuda_toolkit() == tmp_path / "mine"


@pytest.mark.skipif(Path("/usr/local/cuda").exists(), reason="a toolkit is installed")
def test_a_toolkit_without_all_headers_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "half")
    (tmp_path / "half/include/crt/host_defines.h").unlink()
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "half"))
    with pytest.raises(InputError, match=r"found in none of .*half, /usr/local/cuda; install"):
        aotinductor.find_cuda_toolkit()
