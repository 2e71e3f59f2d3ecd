"""Compare an engine's masks with the reference and with the labels, and write the verdict."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from deepcam import cli, files
from deepcam.model import accuracy, engine, judged_masks

log = logging.getLogger(__name__)


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--engine-file", type=Path, required=True, help="engine, .pt2, with its fingerprint beside it")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json; file names in it are relative to it")
    parser.add_argument("--reference", type=Path, required=True, help="margins that predict_reference.py wrote")
    parser.add_argument("--output", type=Path, required=True, help="verdict to write, JSON; adds an .npz beside it")
    arguments = parser.parse_args()
    samples = accuracy.EvaluationSet.read(arguments.dataset)
    masks = accuracy.predict(engine.load(arguments.engine_file, arguments.device), samples)
    margins, engine_sha256 = np.load(arguments.reference, mmap_mode="r"), files.sha256(arguments.engine_file)
    verdict = accuracy.compare(masks, margins, samples.labels, engine_sha256)
    log.info(
        "%s: %s, %.4f of the pixels agree with the reference, mean IoU %.4f (reference %.4f), largest logit margin "
        "lost %.2g (the reference's median margin is %.2g)",
        arguments.engine_file,
        "passed" if verdict.passed else "FAILED",
        verdict.pixel_agreement,
        verdict.mean_iou,
        verdict.reference_mean_iou,
        verdict.max_logit_margin_loss,
        verdict.median_logit_margin,
    )
    judged_masks.write(verdict, arguments.output, samples.data, masks)


if __name__ == "__main__":
    cli.run(main)
