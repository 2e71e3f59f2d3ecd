"""Many whole numbers as one text of a record: `u4:`, for example, and the numbers in base64.

The text begins with the width of a number: u1, u2, u4 or u8, for unsigned numbers of so many bytes, the least
significant byte first. Compression was tried and left out: it saves nothing on times, whose last digits are noise.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

WIDTHS = (1, 2, 4, 8)
"""Bytes of a number."""

LONGEST = 2**24
"""Characters of the longest text that is read: three million numbers of 4 bytes."""


def pack(numbers: Sequence[int] | np.ndarray) -> str:
    """The text of numbers of at least 0, as narrow as the largest of them allows."""
    array = np.asarray(numbers, np.uint64)
    largest = int(array.max(initial=0))
    width = next(width for width in WIDTHS if largest < 1 << 8 * width)
    return f"u{width}:{base64.b64encode(array.astype(f'<u{width}').tobytes()).decode()}"


def unpack(text: str) -> np.ndarray:
    """The numbers of a text, int64, shape (n,). Raises ValueError for a text that `pack` cannot have made."""
    kind, _, packed = text.partition(":")
    return np.frombuffer(base64.b64decode(packed, validate=True), f"<{kind}").astype(np.int64)


def count(text: str) -> int:
    """How many numbers a text has, without reading them."""
    padding = text.count("=", max(3, len(text) - 2))
    return ((len(text) - 3) * 3 // 4 - padding) // int(text[1])


def within(fewest: int, least: int, most: int) -> AfterValidator:
    """A check of a text: it has at least `fewest` numbers, each from `least` to `most`."""

    def check(text: str) -> str:
        numbers = unpack(text)
        if len(numbers) < fewest:
            raise ValueError(f"must have at least {fewest} number")
        if len(numbers) and not least <= numbers.min() <= numbers.max() <= most:
            raise ValueError(f"must have numbers from {least:,} to {most:,}")
        return text

    return AfterValidator(check)


Packed = Annotated[str, Field(pattern=r"^u[1248]:[A-Za-z0-9+/]*={0,2}$", max_length=LONGEST)]
"""The type of a text."""
