"""Confusion and intersection over union, on numbers worked out by hand."""

import numpy as np
import pytest
from deepcam.errors import InputError
from deepcam.record import iou

TRUTH = np.array([[0, 0, 0, 0], [1, 1, 2, 2]])
MASK = np.array([[0, 0, 1, 0], [1, 0, 2, 2]], np.uint8)


def test_confusion_counts_pixels_by_truth_and_prediction():
    assert iou.confusion(MASK, TRUTH).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 2]]


def test_iou_is_the_intersection_over_the_union_of_each_class():
    counts = iou.confusion(MASK, TRUTH)
    np.testing.assert_allclose(iou.iou(counts), [3 / 5, 1 / 3, 1])
    assert iou.mean_iou(counts) == pytest.approx((3 / 5 + 1 / 3 + 1) / 3)


def test_counts_of_samples_add_up_to_pooled_pixels():
    parts = [iou.confusion(MASK[i], TRUTH[i]) for i in range(2)]
    np.testing.assert_array_equal(sum(parts), iou.confusion(MASK, TRUTH))


def test_a_class_that_is_nowhere_counts_for_nothing():
    counts = iou.confusion(np.array([0, 2]), np.array([0.0, 2.0]))
    assert np.isnan(iou.iou(counts)[1])
    assert iou.mean_iou(counts) == 1


@pytest.mark.parametrize("mask", [MASK[:1], MASK + 1, MASK.astype(float) - 1])
def test_masks_that_do_not_fit_are_refused(mask):
    with pytest.raises(InputError):
        iou.confusion(mask, TRUTH)
