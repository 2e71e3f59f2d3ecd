"""Packed numbers: as narrow as they can be, read back as they were, and readable without this program."""

import base64

import numpy as np
import pytest
from deepcam.record.packed import SHORT, count, largest, pack, total, unpack, unpack_all


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ([], "u1"), ([0, 255], "u1"), ([256], "u2"), ([1, 2, 65_536], "u4"), ([2**32 - 1] * 3, "u4"), ([2**32], "u8"),
        ([7], "u1"), ([10**18, 0], "u8"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_they_were_packed(numbers, kind):
    text = pack(numbers)
    assert text.startswith(f"{kind}:")
    assert unpack(text).tolist() == numbers and unpack(text).dtype == np.int64
    assert count(text) == len(numbers)


@pytest.mark.parametrize("numbers", [[], [3], [1, 300], list(range(SHORT))])
def test_a_text_has_a_sum_and_a_largest_number_however_often_it_is_asked(numbers):
    for _ in range(2):
        assert total(pack(numbers)) == sum(numbers)
        assert largest(pack(numbers)) == max(numbers, default=0)


def test_texts_are_read_one_after_the_other_whatever_their_widths():
    parts = [[1, 2], [], [70_000], [3], [2**40, 5], [300]]
    found = unpack_all(map(pack, parts))
    assert found.tolist() == [number for part in parts for number in part] and found.dtype == np.int64
    assert unpack_all([]).tolist() == []


def test_numbers_that_are_remembered_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        unpack(pack([1, 2]))[0] = 9
    assert unpack(pack([1, 2])).tolist() == [1, 2]


def test_the_documented_lines_read_them():
    kind, text = pack([1_500_000_000, 2]).split(":")
    assert (np.frombuffer(base64.b64decode(text), f"<{kind}") / 1e9).tolist() == [1.5, 2e-9]


@pytest.mark.parametrize("text", ["u4:AAA=", "u1:A", "u1:A*==", "u8:AAAA"])
def test_a_damaged_text_is_refused(text):
    for _ in range(2):
        with pytest.raises(ValueError):
            unpack(text)
