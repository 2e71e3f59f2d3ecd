"""Judge and time the engines that `auto` may choose, and write the chosen one with its accuracy verdict."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from deepcam import cli, files
from deepcam.benchmark import machine_lock
from deepcam.config import Engine
from deepcam.config.types import Backend, Precision
from deepcam.model import accuracy, engine, judged_masks
from deepcam.model.engine import choice
from deepcam.model.fingerprint import fingerprint_path, read_fingerprint, write_fingerprint
from deepcam.record.schema import AccuracyVerdict

log = logging.getLogger(__name__)


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--backend", choices=get_args(Backend), required=True, help="as requested: auto or a name")
    parser.add_argument("--precision", choices=get_args(Precision), required=True, help="as requested: auto or a name")
    parser.add_argument("--candidates", type=Path, nargs="+", required=True, help="engines, .pt2, with fingerprints")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json; file names in it are relative to it")
    parser.add_argument("--reference", type=Path, required=True, help="margins that predict_reference.py wrote")
    parser.add_argument("--output", type=Path, required=True, help="engine to write, .pt2; adds a .json beside it")
    parser.add_argument(
        "--accuracy", type=Path, required=True, help="its verdict to write, JSON; adds an .npz beside it"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    samples = accuracy.EvaluationSet.read(arguments.dataset)
    reference = np.load(arguments.reference, mmap_mode="r")

    fingerprints = [read_fingerprint(path) for path in arguments.candidates]
    built = [place for place, fingerprint in enumerate(fingerprints) if "not_built" not in fingerprint]
    engines = [engine.load(arguments.candidates[place], arguments.device) for place in built]
    masks = [accuracy.predict(one, samples) for one in engines]
    verdicts = [
        accuracy.compare(made, reference, samples.labels, files.sha256(arguments.candidates[place]))
        for place, made in zip(built, masks, strict=True)
    ]
    seconds: list[float | None] = [None] * len(built)
    if len(built) > 1:
        batch = np.stack([np.load(path) for path in samples.data[: engines[0].max_batch]])
        with machine_lock.held():
            seconds[:] = choice.time_in_turns(engines, torch.from_numpy(batch).to(engines[0].device))

    judged = [
        choice.Candidate(one["backend"], one["precision"], None, f"not built: {one.get('not_built')}")
        for one in fingerprints
    ]
    for place, verdict, time in zip(built, verdicts, seconds, strict=True):
        judged[place] = dataclasses.replace(judged[place], seconds=time, verdict=_words(verdict))
    for one in judged:
        log.info(
            "%s %s: %s%s",
            one.backend,
            one.precision,
            "" if one.seconds is None else f"{one.seconds:.3g} s, ",
            one.verdict,
        )
    place = choice.choose(judged)
    requested = Engine(backend=arguments.backend, precision=arguments.precision)
    # A process that dies here must not leave an old fingerprint beside a new engine.
    fingerprint_path(arguments.output).unlink(missing_ok=True)
    with files.atomic_path(arguments.output) as temporary:
        shutil.copyfile(arguments.candidates[place], temporary)
    write_fingerprint(arguments.output, choice.fingerprint(requested, judged, fingerprints[place]))
    chosen = built.index(place)
    judged_masks.write(verdicts[chosen], arguments.accuracy, samples.data, masks[chosen])


def _words(verdict: AccuracyVerdict) -> str:
    if verdict.passed:
        return choice.PASSED
    return (
        f"inaccurate: mean IoU {verdict.mean_iou:.4f} (reference {verdict.reference_mean_iou:.4f}), "
        f"{verdict.pixel_agreement:.2%} of the pixels agree"
    )


if __name__ == "__main__":
    cli.run(main)
