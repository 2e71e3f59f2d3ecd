"""The accuracy target: an engine's masks are compared with the eager fp32 network's on the same labelled samples.

An engine returns masks, not logits, because the argmax is compiled into it and returning logits would be another engine
than the one that is measured. The reference's logit margins tell how much each differing pixel matters: if the
reference preferred its own class to the engine's by a margin, some logit of the engine is wrong by at least half of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from deepcam.climate import CLASSES
from deepcam.data.dataset import read_description
from deepcam.errors import InputError
from deepcam.model.calibration import JUDGED_SAMPLES
from deepcam.model.engine import LoadedEngine
from deepcam.record import iou
from deepcam.record.schema import AccuracyVerdict
from deepcam.text import count

MIN_IOU_RATIO = 0.99
"""Required mean IoU as a fraction of the reference's. MLPerf Inference also requires 99 % of the fp32 accuracy."""

MIN_PIXEL_AGREEMENT = 0.995
"""Required fraction of pixels that have the reference's class."""


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """Data files (H, W, C) float32 and label files (H, W, 2), whose plane 0 holds class numbers."""

    data: list[Path]
    labels: list[Path]

    @classmethod
    def read(cls, dataset: Path) -> EvaluationSet:
        """Return the first samples, at most JUDGED_SAMPLES, of the dataset that the file dataset.json describes."""
        samples = read_description(dataset).samples[:JUDGED_SAMPLES]
        return cls([sample.data for sample in samples], [sample.label for sample in samples])


def predict(engine: LoadedEngine, samples: EvaluationSet) -> np.ndarray:
    """Run an engine over samples, in batches of its largest size.

    Returns masks (samples, H, W) uint8, or the margins (samples, classes, H, W) float16 if `engine` is the reference.
    Raises InputError for margins that are not finite.
    """
    return np.concatenate(list(_batches(engine, samples)))


def _batches(engine: LoadedEngine, samples: EvaluationSet) -> Iterator[np.ndarray]:
    for start in range(0, len(samples.data), engine.max_batch):
        batch = np.stack([np.load(path) for path in samples.data[start : start + engine.max_batch]])
        # Copied to the host at once, because a mask of CUDA graphs is valid only until the next call.
        made = engine(torch.from_numpy(batch).to(engine.device)).cpu().numpy()
        if not np.isfinite(made).all():
            after = f" or one of the {count(len(batch) - 1, 'sample')} after it" if len(batch) > 1 else ""
            raise InputError(
                f"{samples.data[start]}{after}: the network's logits are not finite, or differ by more than float16 "
                "can hold; use other weights, or samples whose values are finite"
            )
        yield made


def compare(masks: np.ndarray, margins: np.ndarray, labels: list[Path], engine_sha256: str) -> AccuracyVerdict:
    """Compare `masks` (samples, H, W) uint8 with the labels and the reference's `margins` (samples, classes, H, W).

    `engine_sha256` is the hash of the engine file that made the masks.

    An engine passes if its mean IoU and its pixel agreement reach MIN_IOU_RATIO and MIN_PIXEL_AGREEMENT, and if some
    pixels of at least two classes agree with the labels: broken weights give the same class everywhere, to the engine
    and to the reference. The maximum margin loss is at most twice the largest difference between the two networks'
    logits; the median margin is its scale. Raises InputError if masks, margins and labels are not those of the same
    samples.
    """
    if margins.shape != (len(masks), len(CLASSES), *masks.shape[1:]) or len(masks) != len(labels):
        raise InputError(
            f"engine's masks {list(masks.shape)}, reference's margins {list(margins.shape)}, {len(labels)} labels: not "
            "of the same samples; run snakemake --forcerun predict_reference"
        )
    reference = margins.argmin(1)
    counts = _confusion(masks, labels)
    reference_counts = _confusion(reference, labels)
    agreement = float((masks == reference).mean())
    mean_iou, reference_mean_iou = iou.mean_iou(counts), iou.mean_iou(reference_counts)
    as_good = mean_iou >= MIN_IOU_RATIO * reference_mean_iou and agreement >= MIN_PIXEL_AGREEMENT
    found_classes = np.count_nonzero(np.diagonal(counts))
    return AccuracyVerdict(
        samples=len(masks),
        iou=_iou_by_class(counts),
        mean_iou=mean_iou,
        reference_iou=_iou_by_class(reference_counts),
        reference_mean_iou=reference_mean_iou,
        pixel_agreement=agreement,
        max_logit_margin_loss=float(np.take_along_axis(margins, masks[:, None], 1).max()),
        median_logit_margin=float(np.median(np.partition(margins, 1, axis=1)[:, 1])),
        min_iou_ratio=MIN_IOU_RATIO,
        min_pixel_agreement=MIN_PIXEL_AGREEMENT,
        engine_sha256=engine_sha256,
        passed=bool(as_good and found_classes > 1),
    )


def _confusion(masks: np.ndarray, labels: list[Path]) -> np.ndarray:
    """Return the confusion matrix (3, 3) over all samples."""
    pairs = zip(masks, labels, strict=True)
    return sum(iou.confusion(mask, np.load(path, mmap_mode="r")[..., 0]) for mask, path in pairs)


def _iou_by_class(counts: np.ndarray) -> dict[str, float | None]:
    values = iou.iou(counts).tolist()
    return {name: None if math.isnan(value) else value for name, value in zip(CLASSES, values, strict=True)}
