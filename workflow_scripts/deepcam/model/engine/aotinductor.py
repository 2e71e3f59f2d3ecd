"""AOTInductor backend: the graph is compiled ahead of time, to C++ on a CPU, to Triton and cuDNN calls on a GPU."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepcam.errors import InputError
from deepcam.model.device import torch_device
from deepcam.model.engine import graph
from deepcam.model.engine.runtime import InferenceFunction
from deepcam.model.engine_spec import check_temporary_folder
from deepcam.model.fingerprint import ADVICE

CPU_CONFIG = {
    # By default the engine always uses as many threads as the process that built it.
    "cpp.dynamic_threads": True,
    # By default headers are compiled into a cache that all builds of this user share.
    "aot_inductor.precompile_headers": False,
}

# max_autotune is off: on an H100 it took 20 s for each shape of matrix, minutes for an engine. cuDNN tries its own
# kernels when the engine runs (see runtime.py). Depthwise convolutions are left to cuDNN too: as one Triton kernel for
# the nine shifted taps they were 7 % slower at batch 8, and the engine took twice as long to compile.
CUDA_CONFIG = CPU_CONFIG | {
    # Otherwise Inductor gives up channels_last, the fast layout on tensor cores, if the batch size is variable.
    "force_layout_optimization": True,
    # There are no C++ kernels here. Without this, Inductor tries every instruction set of the CPU, each in a new Python
    # process, which took 40 s on a machine that imports PyTorch in 5 s.
    "cpp.vec_isa_ok": False,
}

HEADERS = ("cuda_runtime.h", "crt/host_defines.h")
"""Headers that the compiled wrapper includes. The first includes the second, but NVIDIA packages them separately."""


def prepare(network: nn.Module) -> None:
    """Fold batch norms. Inductor would leave each as a pass over memory, and would take a third longer to build."""
    graph.fold_batch_norms(network)


def package(inference: graph.InferenceGraph, build: graph.BuildTarget, path: Path, scratch: Path) -> None:
    """Compile `inference` to a package at `path`.

    Raises InputError if a compiler or a GPU's toolkit is missing, or the temporary folder cannot hold the engine.
    """
    # Imported here because it loads the whole compiler, a second or more, which loading an engine does not need.
    from torch._inductor.utils import fresh_cache

    # The weights are there twice for a moment: in a library, and in the package that holds it.
    check_temporary_folder(2 * sum(weight.nbytes for weight in inference.parameters()))
    _check_compiler(scratch)
    if build.device != "cpu":
        _add_toolkit_paths(scratch)
    # A private cache, so that build_seconds is that of a whole build and parallel builds do not interfere.
    with fresh_cache(dir=str(scratch)):
        torch._inductor.aoti_compile_and_package(
            graph.export(inference, build),
            package_path=str(path),
            inductor_configs=CPU_CONFIG if build.device == "cpu" else CUDA_CONFIG,
        )


def _check_compiler(scratch: Path) -> None:
    """Raise InputError unless Inductor's C++ compiler works and links libstdc++ dynamically, as PyTorch does.

    With a second C++ library in the process, loading the package would crash.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    source, library = scratch / "probe.cpp", scratch / "probe.so"
    source.write_text("#include <iostream>\nvoid probe() { std::cout << 1; }\n", encoding="ascii")
    try:
        compiler = shlex.split(get_cpp_compiler())
        subprocess.run(
            [*compiler, "-shared", "-fPIC", str(source), "-o", str(library)], check=True, capture_output=True
        )
    except (InvalidCxxCompiler, subprocess.CalledProcessError, OSError) as error:
        reason = getattr(error, "stderr", b"").decode(errors="replace") or str(error)
        raise InputError(
            f"aotinductor needs a C++ compiler that works ({reason.strip().splitlines()[0]}); install g++, or set CXX"
        ) from None
    if b"libstdc++.so" not in library.read_bytes():
        raise InputError(
            f"aotinductor: {shlex.join(compiler)} links the C++ library statically, and such an engine crashes beside "
            "PyTorch's; unset CXX, or set it to a compiler that links libstdc++.so"
        )


def _add_toolkit_paths(scratch: Path) -> None:
    """Set the environment so that Inductor's C++ compiler finds CUDA's headers and the driver's library."""
    from torch.utils import cpp_extension

    os.environ["CUDA_HOME"] = cpp_extension.CUDA_HOME = str(find_cuda_toolkit())
    # The linker looks for libcuda.so, but without development files the driver provides only libcuda.so.1.
    torch.cuda.init()
    loaded = re.search(r"/\S*/libcuda\.so\S*", Path("/proc/self/maps").read_text(encoding="utf-8"))
    if loaded is None:
        raise InputError(
            "aotinductor on a GPU links with the driver's libcuda.so, which is not loaded; check the driver"
        )
    (scratch / "libcuda.so").symlink_to(loaded[0])
    os.environ["LIBRARY_PATH"] = os.pathsep.join([str(scratch), os.environ.get("LIBRARY_PATH", "")]).rstrip(os.pathsep)


def find_cuda_toolkit() -> Path:
    """Return the folder of the CUDA toolkit: CUDA_HOME, nvcc's, the usual one, or that of NVIDIA's Python packages.

    Raises InputError if none of them has HEADERS.
    """
    nvcc = shutil.which("nvcc")
    packages = importlib.util.find_spec("nvidia")
    candidates = [
        *([Path(os.environ["CUDA_HOME"])] if "CUDA_HOME" in os.environ else []),
        *([Path(nvcc).resolve().parents[1]] if nvcc else []),
        Path("/usr/local/cuda"),
        *(Path(path) / "cu13" for path in (packages.submodule_search_locations if packages else [])),
    ]
    for folder in candidates:
        if all((folder / "include" / header).is_file() for header in HEADERS):
            return folder
    raise InputError(
        f"aotinductor on a GPU compiles against CUDA's headers ({', '.join(HEADERS)}), found in none of "
        f"{', '.join(map(str, candidates))}; install the CUDA toolkit, or set CUDA_HOME to its folder"
    )


def load(path: Path, device: str) -> InferenceFunction:
    """Load the package at `path` onto `device`.

    Raises InputError if the package is damaged, or the temporary folder cannot hold what it unpacks to.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            check_temporary_folder(sum(member.file_size for member in packed.infolist()))
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: damaged ({error}); {ADVICE}") from None
    index = -1 if device == "cpu" else torch_device(device).index
    # The loader is single-threaded (True). Otherwise a call would wait on the host until the call before it has ended
    # on the GPU, which prevents overlap and uses functions that are forbidden while a CUDA graph is captured.
    # aoti_load_package is not used: it compiles probes of the CPU for seconds, and the fingerprint replaces its checks.
    loader: Any = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", True, 1, index)
    return lambda batch: loader.boxed_run([batch])[0]


def versions() -> dict[str, str]:
    """Returns nothing: the engine depends on torch alone."""
    return {}
