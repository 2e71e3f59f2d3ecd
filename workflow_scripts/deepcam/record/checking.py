"""How the modules of checks make one: what was expected, what was found, and whether that makes a record invalid."""

from __future__ import annotations

from typing import Final

from deepcam.record.fields import Level
from deepcam.record.schema import Check

ERROR: Final = "error"
WARNING: Final = "warning"
"""Levels of a check: an error makes the record invalid; a warning is shown beside its numbers."""


def check(name: str, expected: float | str, actual: float | str, ok: bool, level: Level = ERROR) -> Check:
    """The result of the check of this name."""
    return Check(name=name, level=level, expected=expected, actual=actual, ok=ok)
