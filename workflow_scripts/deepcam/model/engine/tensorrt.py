"""TensorRT backend: the whole graph is exported and compiled with the dynamo frontend of Torch-TensorRT.

Follows the documentation of the version that envs/unhashed-gpu.txt pins. Importing torch_tensorrt fails on a
machine without a GPU or without TensorRT's libraries, so it is imported only when it is used.
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
    """Does nothing: TensorRT folds and fuses by itself."""


def package(inference: graph.InferenceGraph, build: graph.BuildTarget, path: Path, scratch: Path) -> None:
    """Compile `inference` to one TensorRT engine inside an exported program, and save it at `path`."""
    torch_tensorrt = _torch_tensorrt()
    # Torch-TensorRT cannot convert a cast to uint8, and no operator may be left to PyTorch, so load() casts the mask.
    inference.mask_dtype = torch.int32
    largest = (build.max_batch, *build.shape)
    batch = torch_tensorrt.Input(
        min_shape=(1, *build.shape), opt_shape=largest, max_shape=largest, dtype=torch.float32, name="batch"
    )
    compiled = torch_tensorrt.dynamo.compile(
        graph.export(inference, build),
        arg_inputs=[batch],
        device=torch.device(build.device),
        # The engine has the precision of the graph's weights. An operator that is left to PyTorch is an error.
        require_full_compilation=True,
        disable_tf32=build.precision != "tf32",
        # By default these caches are shared by all builds on this machine.
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
    """Load the engine that `package` saved. Masks are cast to uint8."""
    module = _torch_tensorrt().load(str(path)).module()
    return lambda batch: module(batch).to(torch.uint8)


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
