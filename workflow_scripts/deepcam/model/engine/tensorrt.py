"""TensorRT backend: the whole graph is exported and compiled with the dynamo frontend of Torch-TensorRT.

TensorRT tunes a program for one batch size: one that was tuned for 8 samples took 1.7 times as long for a single sample
as AOTInductor's. Torch-TensorRT 2.13 has one optimisation profile for each program, so an engine is a zip file of
several programs, N.ep: one for each power of two below the largest batch, and one for all batches, which is tuned for
the largest.

Follows the documentation of the version that envs/unhashed-gpu.txt pins. Importing torch_tensorrt fails on a
machine without a GPU or without TensorRT's libraries, so it is imported only when it is used.
"""

from __future__ import annotations

import dataclasses
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from deepcam.errors import InputError
from deepcam.model.engine import graph
from deepcam.model.engine.runtime import InferenceFunction


def prepare(network: nn.Module) -> None:
    """Does nothing: TensorRT folds and fuses by itself."""


def package(inference: graph.InferenceGraph, build: graph.BuildTarget, path: Path, scratch: Path) -> None:
    """Compile `inference` to the programs of an engine, and save them at `path`."""
    # Torch-TensorRT cannot convert a cast to uint8, and no operator may be left to PyTorch, so load() casts the mask.
    inference.mask_dtype = torch.int32
    with zipfile.ZipFile(path, "w") as archive:
        size = 1
        while size < build.max_batch:
            _add(archive, inference, dataclasses.replace(build, max_batch=size), scratch, variable=False)
            size *= 2
        _add(archive, inference, build, scratch, variable=build.max_batch > 1)


def _add(
    archive: zipfile.ZipFile, inference: graph.InferenceGraph, build: graph.BuildTarget, scratch: Path, variable: bool
) -> None:
    """Compile the program that is tuned for the largest batch of `build`. It takes smaller ones if it is `variable`."""
    torch_tensorrt = _torch_tensorrt()
    largest = (build.max_batch, *build.shape)
    if variable:
        program, shapes = graph.export(inference, build), graph.dynamic_shapes(build.max_batch)
        sizes = {"min_shape": (1, *build.shape), "opt_shape": largest, "max_shape": largest}
        batch = graph.example(build)
    else:
        batch, sizes, shapes = torch.zeros(largest, device=build.device), {"shape": largest}, (None,)
        with torch.no_grad():
            program = torch.export.export(inference, (batch,))
    compiled = torch_tensorrt.dynamo.compile(
        program,
        arg_inputs=[torch_tensorrt.Input(**sizes, dtype=torch.float32, name="batch")],
        device=torch.device(build.device),
        # The engine has the precision of the graph's weights. An operator that is left to PyTorch is an error.
        require_full_compilation=True,
        disable_tf32=build.precision != "tf32",
        # By default these caches are shared by all builds on this machine.
        timing_cache_path=str(scratch / "timing_cache.bin"),
        engine_cache_dir=str(scratch / "engine_cache"),
    )
    saved = scratch / f"{build.max_batch}.ep"
    torch_tensorrt.save(compiled, str(saved), arg_inputs=[batch], dynamic_shapes=shapes)
    archive.write(saved, saved.name)
    saved.unlink()


def load(path: Path, device: str) -> InferenceFunction:
    """Load the programs that `package` saved. A batch takes the one for its size, or else the one for all sizes.

    Masks are cast to uint8.
    """
    programs = {}
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        for name in archive.namelist():
            program = Path(archive.extract(name, folder))
            programs[int(program.stem)] = _torch_tensorrt().load(str(program)).module()
            program.unlink()
    largest = programs[max(programs)]
    return lambda batch: programs.get(len(batch), largest)(batch).to(torch.uint8)


def versions() -> dict[str, str]:
    """Return the versions of Torch-TensorRT and TensorRT. An engine runs only with those that built it.

    That of TensorRT-RTX has the name of its package in front, tensorrt_rtx.
    """
    torch_tensorrt = _torch_tensorrt()
    # Torch-TensorRT registers the package that it uses under this name, TensorRT or TensorRT-RTX.
    import tensorrt

    variant = "" if tensorrt.__package__ == "tensorrt" else f"{tensorrt.__package__} "
    return {"torch_tensorrt": torch_tensorrt.__version__, "tensorrt": variant + tensorrt.__version__}


def _torch_tensorrt() -> ModuleType:
    try:
        import torch_tensorrt
    except Exception as error:  # torch_tensorrt raises bare Exceptions for missing libraries
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"tensorrt: torch_tensorrt cannot be imported ({type(error).__name__}: {reason}); install "
            "envs/unhashed-gpu.txt with NVIDIA's package index, or choose another backend"
        ) from None
    return torch_tensorrt
