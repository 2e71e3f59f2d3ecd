"""Training batches: crops, mirror images and normalisation ranges."""

import dataclasses

import numpy as np
import pytest
import torch
from deepcam.climate import MODEL_CHANNELS
from deepcam.data import synthesis
from deepcam.model import training_data

SHAPE = (64, 96)
V850 = MODEL_CHANNELS.index(2)


@pytest.fixture(scope="module")
def made():
    return training_data.make_examples(
        3, training_data.TRAINING_FIRST_LINE, 3, *SHAPE, MODEL_CHANNELS, torch.device("cpu"), 2
    )


def only(made, i):
    part = slice(i, i + 1)
    return training_data.Examples(
        made.fields[part], made.labels[part], made.minimum[part], made.maximum[part], made.channels
    )


def test_examples_are_the_samples_of_their_lines(made):
    data, labels, _ = synthesis.sample(synthesis.sample_seed(3, training_data.TRAINING_FIRST_LINE + 1), *SHAPE)
    np.testing.assert_array_equal(made.fields[1], data[..., list(MODEL_CHANNELS)])
    np.testing.assert_array_equal(made.labels[1], labels)
    np.testing.assert_array_equal(made.maximum[1], data[..., list(MODEL_CHANNELS)].max(axis=(0, 1)))


def test_a_crop_is_a_sample_from_any_longitude_or_its_mirror_image(made):
    one = only(made, 0)
    low, high = (torch.from_numpy(array[0])[:, None, None] for array in (one.minimum, one.maximum))
    plain, label = one.fields[0].permute(2, 0, 1), one.labels[0].long()
    sign = torch.ones(4, 1, 1)
    sign[V850] = -1
    found = set()
    fields, labels = training_data.draw_batch(one, np.random.default_rng(0), 12, 96, 0.5)
    for crop, crop_label in zip(fields * (high - low) + low, labels, strict=True):
        for name, image, image_label in (("plain", plain, label), ("mirror", sign * plain.flip(1), label.flip(0))):
            for west in range(96):
                if torch.equal(crop_label, image_label.roll(-west, 1)):
                    torch.testing.assert_close(crop, image.roll(-west, 2), rtol=1e-4, atol=1e-4)
                    found.add(name)
    assert found == {"plain", "mirror"}


def test_fields_are_channels_last_and_normalised_to_their_range(made):
    fields, labels = training_data.draw_batch(made, np.random.default_rng(1), 16, 48, 0.5)
    assert fields.shape == (16, 4, 64, 48) and labels.shape == (16, 64, 48) and labels.dtype == torch.int64
    assert fields.is_contiguous(memory_format=torch.channels_last)
    others = [i for i in range(4) if i != V850]  # a mirrored wind may leave the range
    assert fields[:, others].min() >= 0 and fields[:, others].max() <= 1


def test_ranges_include_those_of_the_smallest_and_the_largest_dataset(made):
    rng = np.random.default_rng(0)
    ranges = {tuple(np.concatenate(training_data._range(made, rng, 0))) for _ in range(100)}
    assert tuple(np.concatenate([made.minimum[0], made.maximum[0]])) in ranges
    assert tuple(np.concatenate([made.minimum.min(axis=0), made.maximum.max(axis=0)])) in ranges


def test_a_seed_determines_the_batch(made):
    first, again, other = (
        training_data.draw_batch(made, np.random.default_rng([1, step]), 2, 48, 0.5) for step in (7, 7, 8)
    )
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("event_crops", [0.0, 1.0])
def test_crops_that_are_chosen_for_their_events_hold_more_of_them(made, event_crops):
    labels = torch.zeros_like(made.labels[:1])
    labels[:, 20:30, 40:50] = 1
    one = dataclasses.replace(only(made, 0), labels=labels)
    _, drawn = training_data.draw_batch(one, np.random.default_rng(0), 64, 16, event_crops)
    found = float((drawn == 1).any(dim=(1, 2)).float().mean())
    assert found > 0.5 if event_crops else found < 0.4
