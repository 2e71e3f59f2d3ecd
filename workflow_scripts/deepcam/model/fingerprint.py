"""The fingerprint beside an engine: what the engine is, and the machine and software that it is bound to.

This module does not import torch, which a benchmark may do only after it has set the number of threads.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepcam.errors import InputError

ADVICE = "to rebuild it, run snakemake with the options of this run and --forcerun compile_engine"


def fingerprint_path(engine: Path) -> Path:
    """Return the path of the fingerprint that belongs to the engine at `engine`."""
    return engine.with_suffix(".json")


def read_fingerprint(engine: Path) -> dict[str, Any]:
    """Read the fingerprint of the engine at `engine`. Raises InputError if it is missing or is not JSON."""
    path = fingerprint_path(engine)
    if not path.is_file():
        raise InputError(f"{path}: the fingerprint of the engine is missing; {ADVICE}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not the fingerprint of an engine ({error}); {ADVICE}") from None
