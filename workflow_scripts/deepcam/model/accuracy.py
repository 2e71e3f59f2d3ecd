"""The accuracy gate: does an engine find what the eager fp32 network finds, on the same labelled samples?

An engine hands out masks, not logits: argmax is compiled into it, and carrying the logits out would measure another
engine. The reference's logits say how much each differing pixel weighs: where it preferred its own class to the
engine's by a margin, some logit of the engine is off by at least half of that.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepcam.climate import CLASSES
from deepcam.errors import InputError
from deepcam.model.engine import LoadedEngine
from deepcam.record import iou

MAX_SAMPLES = 64
"""The first samples of the dataset are enough: 57 million pixels at full size."""

MIN_IOU_RATIO = 0.99
MIN_AGREEMENT = 0.995
"""What an engine must reach: this part of the reference's mean IoU (MLPerf inference's rule), and of its pixels."""


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """Files of data (H, W, C) float32 and of labels (H, W, 2), of which plane 0 holds class numbers."""

    data: list[Path]
    labels: list[Path]

    @classmethod
    def read(cls, dataset: Path) -> EvaluationSet:
        """The first samples of dataset.json, at most MAX_SAMPLES."""
        entries = json.loads(dataset.read_text())["samples"][:MAX_SAMPLES]
        return cls(*([dataset.parent / entry[kind] for entry in entries] for kind in ("data", "label")))


def predict(engine: LoadedEngine, samples: EvaluationSet) -> np.ndarray:
    """Masks (samples, H, W) uint8, of the reference margins; read and run in batches of the engine's largest size."""
    return np.concatenate(list(_batches(engine, samples)))


def _batches(engine: LoadedEngine, samples: EvaluationSet) -> Iterator[np.ndarray]:
    for start in range(0, len(samples.data), engine.max_batch):
        batch = np.stack([np.load(path) for path in samples.data[start : start + engine.max_batch]])
        # To the host before the next call: a mask of CUDA graphs is valid until then.
        yield engine(torch.from_numpy(batch).to(engine.device)).cpu().numpy()


def compare(masks: np.ndarray, margins: np.ndarray, labels: list[Path]) -> dict[str, Any]:
    """The gate's verdict on `masks` (samples, H, W) uint8 by the reference's `margins` (samples, classes, H, W).

    `iou` per class, over all samples, None for a class that neither mask nor label has; `mean_iou` over the others;
    the same of the reference; `agreement`, the share of pixels where both have the same class. In logits:
    `largest_margin_lost`, the most by which the reference preferred its class of a pixel to the engine's, at most twice
    the largest difference of logits; as its scale `median_margin`, the reference's to its second class.
    """
    if margins.shape != (len(masks), len(CLASSES), *masks.shape[1:]) or len(masks) != len(labels):
        raise InputError(
            f"engine's masks {list(masks.shape)}, reference's margins {list(margins.shape)}, {len(labels)} labels: not "
            "of the same samples; run snakemake --forcerun predict_reference"
        )
    reference = margins.argmin(1)
    counts = _counts(masks, labels)
    expected = _counts(reference, labels)
    agreement = float((masks == reference).mean())
    mean_iou, reference_mean_iou = iou.mean_iou(counts), iou.mean_iou(expected)
    passed = mean_iou >= MIN_IOU_RATIO * reference_mean_iou and agreement >= MIN_AGREEMENT
    return {
        "samples": len(masks),
        "iou": _iou(counts),
        "mean_iou": mean_iou,
        "reference_iou": _iou(expected),
        "reference_mean_iou": reference_mean_iou,
        "agreement": agreement,
        "largest_margin_lost": float(np.take_along_axis(margins, masks[:, None], 1).max()),
        "median_margin": float(np.median(np.partition(margins, 1, axis=1)[:, 1])),
        "min_iou_ratio": MIN_IOU_RATIO,
        "min_agreement": MIN_AGREEMENT,
        "passed": passed,
    }


def _counts(masks: np.ndarray, labels: list[Path]) -> np.ndarray:
    pairs = zip(masks, labels, strict=True)
    return sum(iou.confusion(mask, np.load(path, mmap_mode="r")[..., 0]) for mask, path in pairs)


def _iou(counts: np.ndarray) -> dict[str, float | None]:
    values = iou.iou(counts).tolist()
    return {name: None if math.isnan(value) else value for name, value in zip(CLASSES, values, strict=True)}
