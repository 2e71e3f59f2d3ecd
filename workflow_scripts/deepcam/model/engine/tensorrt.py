"""TensorRT, by way of Torch-TensorRT's dynamo path: export, compile the whole graph, save, load.

Follows the documentation of the version that envs/requirements-gpu.txt pins. Importing torch_tensorrt fails on a
machine without a GPU or without TensorRT's libraries, so each function imports it.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from deepcam.errors import InputError
from deepcam.model.engine import graph
from deepcam.model.engine.runtime import InferenceFunction


def prepare(network: nn.Module) -> None:
    """Nothing to change: TensorRT folds and fuses by itself."""


def package(inference: graph.InferenceGraph, build: graph.BuildTarget, path: Path, scratch: Path) -> None:
    """Compile `inference` to one TensorRT engine inside an exported program, saved at `path`."""
    torch_tensorrt = _torch_tensorrt()
    # Torch-TensorRT converts no cast to uint8, and one operator left to PyTorch refuses the whole: see load().
    inference.mask_dtype = torch.int32
    largest = (build.max_batch, *build.shape)
    batch = torch_tensorrt.Input(
        min_shape=(1, *build.shape), opt_shape=largest, max_shape=largest, dtype=torch.float32, name="batch"
    )
    compiled = torch_tensorrt.dynamo.compile(
        graph.export(inference, build),
        arg_inputs=[batch],
        device=torch.device(build.device),
        # Precision is the graph's own: fp16 weights make an fp16 engine. An operator left to PyTorch is an error.
        require_full_compilation=True,
        disable_tf32=build.precision != "tf32",
        # Caches of its own: the defaults are shared by all builds on this machine.
        timing_cache_path=str(scratch / "timing_cache.bin"),
        engine_cache_dir=str(scratch / "engine_cache"),
    )
    torch_tensorrt.save(
        compiled,
        str(path),
        arg_inputs=[graph.example(build)],
        dynamic_shapes=graph.dynamic_shapes(build.max_batch),
    )


def load(path: Path, device: str) -> InferenceFunction:
    module = _torch_tensorrt().load(str(path)).module()
    return lambda batch: module(batch).to(torch.uint8)


def versions() -> dict[str, str]:
    """Versions of Torch-TensorRT and TensorRT: an engine runs with the ones that built it only."""
    torch_tensorrt = _torch_tensorrt()
    # Torch-TensorRT has put whichever TensorRT it uses under this name.
    import tensorrt

    return {"torch_tensorrt": torch_tensorrt.__version__, "tensorrt": tensorrt.__version__}


def _torch_tensorrt() -> ModuleType:
    try:
        import torch_tensorrt
    except Exception as error:  # it raises bare Exceptions for missing libraries
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"tensorrt: torch_tensorrt cannot be imported ({type(error).__name__}: {reason}); install "
            "envs/requirements-gpu.txt with NVIDIA's package index, or choose another backend"
        ) from None
    return torch_tensorrt
