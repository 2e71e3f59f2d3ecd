"""The fingerprint beside an engine: what the engine is, and the machine and software that it is bound to.

This module does not import torch, which a benchmark may do only after it has set the number of threads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepcam import files
from deepcam.errors import InputError
from deepcam.record import consistency_checks

ADVICE = "to rebuild it, run snakemake with the options of this run and --forcerun compile_engine"


def fingerprint_path(engine: Path) -> Path:
    """Return the path of the fingerprint that belongs to the engine at `engine`."""
    return engine.with_suffix(".json")


def write_fingerprint(engine: Path, content: Mapping[str, Any]) -> None:
    """Write the fingerprint of the engine at `engine` atomically, with a digest of its content."""
    files.write_json(fingerprint_path(engine), {**content, "digest": consistency_checks.digest(content)})


def read_fingerprint(engine: Path) -> dict[str, Any]:
    """Read the fingerprint of the engine at `engine`, without its digest.

    Raises InputError if it is missing, is not JSON, or is not as it was written.
    """
    path = fingerprint_path(engine)
    if not path.is_file():
        raise InputError(f"{path}: the fingerprint of the engine is missing; {ADVICE}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop("digest")
    except (ValueError, AttributeError, KeyError) as error:
        raise InputError(f"{path}: not the fingerprint of an engine ({error!r}); {ADVICE}") from None
    if digest != consistency_checks.digest(content):
        raise InputError(f"{path}: changed since the engine was built; {ADVICE}")
    return content
