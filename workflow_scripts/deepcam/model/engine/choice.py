"""`auto`: every candidate is built and timed on the device itself, and the fastest that is accurate enough is taken.

Among candidates that are nearly as fast as the fastest, the most precise one is taken, so that noise does not change
the choice from one day to the next. The fingerprint of the engine has the time and the verdict of every candidate.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepcam import cli
from deepcam.config import Engine
from deepcam.errors import InputError
from deepcam.model.engine.runtime import LoadedEngine
from deepcam.model.engine_spec import PRECISIONS, candidates
from deepcam.model.fingerprint import ADVICE, write_fingerprint

log = logging.getLogger(__name__)

NEARLY = 1.1
"""Candidates that take at most this many times as long as the fastest count as equally fast."""

TURNS, SECONDS = 3, 3.0
"""Each candidate has at least so many calls that count, and more until this time has passed."""

PASSED = "passed"
"""The verdict of a candidate that is accurate enough. Other verdicts say why it is not taken."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An engine that `auto` may choose."""

    backend: str
    precision: str
    seconds: float | None
    """Median time of a batch of the largest size; None if it was not built, or had nothing to be compared with."""
    verdict: str


@contextlib.contextmanager
def kept_reason(spec: Engine, output: Path) -> Iterator[None]:
    """If the candidate cannot be built, write the reason into its fingerprint, beside an empty engine."""
    try:
        yield
    except Exception as error:  # a compiler may fail in any way, and another candidate may still be built
        reason = str(error) if isinstance(error, InputError) else cli.unexpected(error)
        log.warning("%s cannot be built: %s", spec.name, reason, exc_info=not isinstance(error, InputError))
        output.write_bytes(b"")
        write_fingerprint(output, {"backend": spec.backend, "precision": spec.precision, "not_built": reason})


def time_in_turns(engines: Sequence[LoadedEngine], batch: Tensor) -> list[float]:
    """Return the median seconds that each engine takes for `batch`. The first turn, which warms up, does not count."""
    times: list[list[float]] = [[] for _ in engines]
    started = time.monotonic()
    while len(times[0]) <= TURNS or time.monotonic() - started < SECONDS:
        for engine, own in zip(engines, times, strict=True):
            own.append(_seconds(engine, batch))
    return [statistics.median(own[1:]) for own in times]


def _seconds(engine: LoadedEngine, batch: Tensor) -> float:
    started = time.perf_counter()
    engine(batch)
    if batch.is_cuda:
        torch.cuda.synchronize(batch.device)
    return time.perf_counter() - started


def choose(judged: Sequence[Candidate]) -> int:
    """Return the place of the candidate to take: the most precise of those that are accurate and nearly the fastest.

    Raises InputError if none is accurate enough.
    """
    passed = [place for place, candidate in enumerate(judged) if candidate.verdict == PASSED]
    if not passed:
        verdicts = "; ".join(f"{one.backend} {one.precision}: {one.verdict}" for one in judged)
        raise InputError(f"auto: no candidate is usable ({verdicts}); name a backend and a precision in engines")
    times = {place: judged[place].seconds or 0.0 for place in passed}
    nearly = [place for place in passed if times[place] <= NEARLY * min(times.values())]
    return min(nearly, key=lambda place: (PRECISIONS.index(judged[place].precision), place))


def fingerprint(requested: Engine, judged: Sequence[Candidate], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fingerprint of the chosen engine as that of the engine that was requested."""
    return {
        **chosen,
        "requested_backend": requested.backend,
        "requested_precision": requested.precision,
        "candidates": [dataclasses.asdict(candidate) for candidate in judged],
    }


def check_choice(fingerprint: Mapping[str, Any], path: Path, device: str) -> None:
    """Raise InputError if `auto` has chosen this engine from other candidates than it would choose from here."""
    if "candidates" not in fingerprint:
        return
    requested = Engine(backend=fingerprint["requested_backend"], precision=fingerprint["requested_precision"])
    here = [f"{engine.backend} {engine.precision}" for engine in candidates(requested, device)]
    built = [f"{candidate['backend']} {candidate['precision']}" for candidate in fingerprint["candidates"]]
    if built != here:
        raise InputError(
            f"{path}: auto chose it from {', '.join(built)}, but here auto chooses from {', '.join(here)}; {ADVICE}"
        )
