"""Packed numbers: as narrow as they can be, read back as they were, and readable without this program."""

import base64

import numpy as np
import pytest
from deepcam.record.packed import count, pack, unpack


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


def test_the_documented_lines_read_them():
    kind, text = pack([1_500_000_000, 2]).split(":")
    assert (np.frombuffer(base64.b64decode(text), f"<{kind}") / 1e9).tolist() == [1.5, 2e-9]


@pytest.mark.parametrize("text", ["u4:AAA=", "u1:A", "u1:A*==", "u8:AAAA"])
def test_a_damaged_text_is_refused(text):
    with pytest.raises(ValueError):
        unpack(text)
