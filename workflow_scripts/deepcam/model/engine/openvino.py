"""OpenVINO backend, for CPUs: the graph is converted to OpenVINO's own format, which is compiled when it is loaded.

Follows the documentation of the versions that envs/requirements-openvino.txt pins. They are optional, so they are
imported only when they are used.
"""

from __future__ import annotations

import importlib
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from deepcam.errors import InputError
from deepcam.model.calibration import CalibrationSet, calibration_set
from deepcam.model.engine import graph
from deepcam.model.engine.runtime import InferenceFunction
from deepcam.model.fingerprint import ADVICE

MODEL, WEIGHTS, SETTINGS = MEMBERS = ("model.xml", "model.bin", "settings.json")
"""Files in an engine, which is a zip archive: OpenVINO's two files, and properties to compile the model with."""

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""The precision of what is not quantised. In an int8 engine it is the normalisation and what lies between layers."""


def prepare(network: nn.Module) -> None:
    """Fold batch norms, so that each convolution is quantised with the weights that it runs with."""
    graph.fold_batch_norms(network)


def package(inference: graph.InferenceGraph, build: graph.BuildTarget, path: Path, scratch: Path) -> dict[str, Any]:
    """Convert `inference`, quantise it if the precision is int8, and save it at `path`.

    Returns what the fingerprint says about the calibration. Raises InputError if a package is missing, or the
    calibration samples cannot be used.
    """
    openvino = _package("openvino")
    calibration = None
    if build.precision == "int8":
        assert build.dataset is not None, "int8 is calibrated on samples of a dataset"
        calibration = calibration_set(build.dataset)
    # OpenVINO is given float32, and rounds by itself.
    inference.float().dtype = torch.float32
    model = openvino.convert_model(graph.export(inference, build))
    model.reshape([openvino.Dimension(1, build.max_batch), *build.shape])
    described = {}
    if calibration:
        model, described = _quantise(model, calibration)
    openvino.save_model(model, scratch / MODEL, compress_to_fp16=False)
    with zipfile.ZipFile(path, "w") as packed:
        for name in (MODEL, WEIGHTS):
            packed.write(scratch / name, name)
        packed.writestr(SETTINGS, json.dumps({"INFERENCE_PRECISION_HINT": HINTS[build.precision]}))
    return described


def _quantise(model: Any, calibration: CalibrationSet) -> tuple[Any, dict[str, Any]]:
    """Return the model with weights and activations in int8, and a description of the calibration."""
    nncf = _package("nncf")
    quantised = nncf.quantize(
        model,
        nncf.Dataset(calibration.samples, lambda sample: sample()[None]),
        subset_size=len(calibration.samples),
        ignored_scope=nncf.IgnoredScope(names=_normalisation(model)),
    )
    return quantised, {
        "nncf": nncf.__version__,
        "calibration": {"source": calibration.source, "samples": len(calibration.samples)},
    }


def _normalisation(model: Any) -> list[str]:
    """Return the names of the operations before the first convolution, which must stay in float32.

    An int8 tensor has a single scale for all of its channels. The values of raw channels differ by factors of up to
    10^5, so all channels but those with the largest values would be rounded to zero.
    """
    names: list[str] = []
    operation = model.inputs[0].get_node()
    while True:
        consumers = (target.get_node() for target in operation.output(0).get_target_inputs())
        # The batch size is looked up as well.
        operation = next(consumer for consumer in consumers if consumer.get_type_name() != "ShapeOf")
        if operation.get_type_name() == "Convolution":
            return names
        names.append(operation.get_friendly_name())


def load(path: Path, device: str) -> InferenceFunction:
    """Compile the model that `package` saved, for as many threads as PyTorch uses. Raises InputError if it is damaged.

    The threads may run on any of the process's cores. A batch is read where it is, without a copy.
    """
    compiled = request(path)
    return lambda batch: torch.from_numpy(compiled.infer([batch.numpy()], share_inputs=True)[0])


def request(path: Path, more: Mapping[str, Any] | None = None) -> Any:
    """Compile the model of an engine with OpenVINO's properties for it and `more`. Returns its InferRequest.

    Raises InputError if the engine is damaged.
    """
    openvino = _package("openvino")
    try:
        with zipfile.ZipFile(path) as packed:
            model, weights, settings = map(packed.read, MEMBERS)
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path}: damaged ({error}); {ADVICE}") from None
    properties = json.loads(settings) | {
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Otherwise OpenVINO leaves out the second thread of each core, and binds its threads to cores.
        "ENABLE_HYPER_THREADING": True,
        "ENABLE_CPU_PINNING": False,
        **(more or {}),
    }
    core = openvino.Core()
    return core.compile_model(core.read_model(model, weights), "CPU", properties).create_infer_request()


def versions() -> dict[str, str]:
    """Return OpenVINO's version. An engine runs only with the one that built it."""
    return {"openvino": _package("openvino").__version__}


def _package(name: str) -> ModuleType:
    """Import OpenVINO or NNCF. Raises InputError if it cannot be imported."""
    # Both would report each use to Google Analytics. As if this package were missing, they do not.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"openvino: {name} cannot be imported ({error}); install envs/requirements-openvino.txt, or choose another "
            "backend or precision"
        ) from None
