"""The accuracy target: verdicts on masks whose IoU is known, and the masks of an engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_example import dataset
from deepcam.climate import CLASSES
from deepcam.errors import InputError
from deepcam.model import accuracy
from deepcam.model.engine import LoadedEngine
from deepcam.record import validity
from deepcam.record.schema import AccuracyVerdict, EngineDescription
from record_example import record

TRUTH = np.array([[0] * 90 + [1] * 5 + [2] * 5] * 20, dtype=np.uint8)
"""20 x 100 pixels."""

SHA256 = "0" * 64


def write_labels(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"label-{i}.npy" for i in range(count)]
    for path in paths:
        np.save(path, np.stack([TRUTH, 2 - TRUTH], axis=-1).astype(np.float32))
    return paths


def margins(reference: np.ndarray) -> np.ndarray:
    """Margins of a network that prefers the classes of `reference` by 4 logits to the next class, by 8 to the last."""
    return 4 * ((np.arange(3)[:, None, None] - reference) % 3).astype(np.float16)


def verdict(folder: Path, mask: np.ndarray, reference: np.ndarray = TRUTH) -> AccuracyVerdict:
    return accuracy.compare(mask[None], margins(reference)[None], write_labels(folder, 1), SHA256)


def test_the_labels_as_masks_are_perfect(tmp_path: Path) -> None:
    found = verdict(tmp_path, TRUTH)
    assert found.iou == dict.fromkeys(CLASSES, 1.0)
    assert (found.mean_iou, found.pixel_agreement, found.passed) == (1.0, 1.0, True)


def test_iou_is_intersection_over_union_per_class(tmp_path: Path) -> None:
    mask = TRUTH.copy()
    mask[:10, 90:95] = 0  # 50 of the 100 pixels of class 1 are missed
    found = verdict(tmp_path, mask)
    assert found.iou == pytest.approx(dict(zip(CLASSES, (1800 / 1850, 0.5, 1.0), strict=True)))
    assert found.mean_iou == pytest.approx(np.mean([1800 / 1850, 0.5, 1.0]))
    assert found.pixel_agreement == pytest.approx(1 - 50 / 2000)
    assert not found.passed


@pytest.mark.parametrize(("pixels", "passed"), [(0, True), (2, True), (12, False)])
def test_an_engine_passes_up_to_the_limits(tmp_path: Path, pixels: int, passed: bool) -> None:
    mask = TRUTH.copy()
    mask[0, :pixels] = 1
    assert verdict(tmp_path, mask).passed is passed


def test_pixel_agreement_alone_is_not_enough(tmp_path: Path) -> None:
    mask = TRUTH.copy()
    mask[:8, 90] = 0
    found = verdict(tmp_path, mask)
    assert found.pixel_agreement > accuracy.MIN_PIXEL_AGREEMENT
    assert found.mean_iou < accuracy.MIN_IOU_RATIO * found.reference_mean_iou
    assert not found.passed


@pytest.mark.parametrize(("engine_prefers", "lost"), [((0, 0), 0), ((1, 0), 0.25), ((1, 1), 0.5), ((1, 2), 3)])
def test_margin_loss_is_the_references_margin_over_the_engines_class(
    tmp_path: Path, engine_prefers: tuple[int, int], lost: float
) -> None:
    reference = margins(np.zeros_like(TRUTH))
    reference[..., :40] /= 4  # the median of all margins is 2, of those to the second class 4
    reference[:, 0, :2] = np.transpose([(0, 0.25, 1), (0, 0.5, 3)])
    mask = np.zeros_like(TRUTH)
    mask[0, :2] = engine_prefers
    found = accuracy.compare(mask[None], reference[None], write_labels(tmp_path, 1), SHA256)
    assert (found.max_logit_margin_loss, found.median_logit_margin) == (lost, 4)


def test_a_class_that_does_not_occur_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "label.npy"
    np.save(path, np.zeros((20, 100, 2), dtype=np.float32))
    found = accuracy.compare(np.zeros_like(TRUTH)[None], margins(np.zeros_like(TRUTH))[None], [path], SHA256)
    assert found.iou == dict(zip(CLASSES, (1.0, None, None), strict=True))
    assert found.mean_iou == 1.0


def test_a_poor_reference_still_requires_pixel_agreement(tmp_path: Path) -> None:
    reference = np.where(TRUTH == 0, 1, 0).astype(np.uint8)
    reference[0, 89:91] = 0, 1  # two pixels agree with the labels
    assert verdict(tmp_path, reference, reference).passed
    assert not verdict(tmp_path, TRUTH, reference).passed


@pytest.mark.parametrize("everywhere", range(len(CLASSES)))
def test_an_engine_that_finds_one_class_only_never_passes(tmp_path: Path, everywhere: int) -> None:
    mask = np.full_like(TRUTH, everywhere)
    found = verdict(tmp_path, mask, reference=mask)
    assert (found.pixel_agreement, found.passed) == (1, False)
    mask[0, [0, 90]] = 0, 1
    assert verdict(tmp_path, mask, reference=mask).passed


@pytest.mark.parametrize("logits", [float("nan"), float("inf"), 1e5])
def test_a_reference_whose_margins_are_not_finite_is_refused(tmp_path: Path, logits: float) -> None:
    np.save(tmp_path / "data.npy", np.zeros((2, 3, 16), np.float32))
    made = torch.full((1, 3, 2, 3), logits).half()
    engine = LoadedEngine(lambda batch: made, torch.device("cpu"), (2, 3, 16), 1, {})
    with pytest.raises(InputError, match=r"data\.npy: the network's logits are not finite, .*; use other weights"):
        accuracy.predict(engine, accuracy.EvaluationSet([tmp_path / "data.npy"], []))


def test_masks_of_other_samples_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not of the same samples"):
        accuracy.compare(TRUTH[None], np.stack([margins(TRUTH)] * 2), write_labels(tmp_path, 1), SHA256)


def test_samples_are_run_in_the_largest_batches_of_the_engine(tmp_path: Path) -> None:
    for i in range(5):
        np.save(tmp_path / f"data-{i}.npy", np.full((2, 3, 16), i, dtype=np.float32))
    dataset(samples=5).write(tmp_path / "dataset.json")
    sizes = []

    def run(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        return batch[..., 0].to(torch.uint8)

    samples = accuracy.EvaluationSet.read(tmp_path / "dataset.json")
    masks = accuracy.predict(LoadedEngine(run, torch.device("cpu"), (2, 3, 16), 2, {}), samples)
    assert sizes == [2, 2, 1]
    assert masks.dtype == np.uint8
    assert masks[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert samples.labels[4] == tmp_path / "label-4.npy"


def test_a_failed_accuracy_target_makes_a_record_invalid(tmp_path: Path) -> None:
    good, bad = verdict(tmp_path, TRUTH), verdict(tmp_path, (TRUTH + 1) % 3)
    made = record().model_copy(update={"engine": EngineDescription(precision="fp32", accuracy=[good, bad])})
    first, second = [check for check in validity.checks(made) if check.name == "accuracy"]
    assert first.ok and not second.ok
    assert (
        second.expected
        == "mean IoU at least 99% of the reference's 1.0000, and the reference's class on at least 99.5% of the pixels"
    )
    assert second.actual.startswith("mean IoU 0.0")
    assert second.actual.endswith("but at most one class agrees with the labels anywhere")
    assert "one class" not in first.actual
