"""Many whole numbers as one text of a record: `u4:`, for example, and the numbers in base64.

The text begins with the width of a number: u1, u2, u4 or u8, for unsigned numbers of so many bytes, the least
significant byte first. Compression was tried and left out: it saves nothing on times, whose last digits are noise.
"""

from __future__ import annotations

import base64
import binascii
import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, TypeVar

import numpy as np
from pydantic import AfterValidator, Field

WIDTHS = (1, 2, 4, 8)
"""Bytes of a number."""

LONGEST = 2**24
"""Characters of the longest text that is read: three million numbers of 4 bytes."""

SHORT, MOST_REMEMBERED = 1024, 256
"""Characters of a text, and number of texts, whose numbers are remembered: thousands of ranks have the same batches."""

T = TypeVar("T")


def _remembered(function: Callable[[str], T]) -> Callable[[str], T]:
    """The same function, which remembers the results for the latest short texts."""
    of_short = functools.lru_cache(MOST_REMEMBERED)(function)

    @functools.wraps(function)
    def remember(text: str) -> T:
        return of_short(text) if len(text) <= SHORT else function(text)

    return remember


def pack(numbers: Sequence[int] | np.ndarray) -> str:
    """The text of numbers of at least 0, as narrow as the largest of them allows."""
    array = np.asarray(numbers, np.uint64)
    largest = int(array.max(initial=0))
    width = next(width for width in WIDTHS if largest < 1 << 8 * width)
    return f"u{width}:{base64.b64encode(array.astype(f'<u{width}').tobytes()).decode()}"


def _bytes(text: str) -> bytes:
    """The bytes of a text's numbers. Raises ValueError for a text that `pack` cannot have made."""
    found = binascii.a2b_base64(text[3:], strict_mode=True)
    if len(found) % int(text[1]):
        raise ValueError(f"must have whole numbers of {text[1]} bytes")
    return found


@_remembered
def unpack(text: str) -> np.ndarray:
    """The numbers of a text, int64, shape (n,), read-only. Raises ValueError if `pack` cannot have made it."""
    numbers = np.frombuffer(_bytes(text), f"<{text[:2]}").astype(np.int64)
    numbers.flags.writeable = False
    return numbers


def unpack_all(texts: Iterable[str]) -> np.ndarray:
    """The numbers of many texts, one after the other, int64, shape (n,). Raises ValueError like `unpack`."""
    of_width = itertools.groupby(texts, key=lambda text: text[:2])
    found = [np.frombuffer(b"".join(map(_bytes, group)), f"<{kind}").astype(np.int64) for kind, group in of_width]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def count(text: str) -> int:
    """How many numbers a text has, without reading them."""
    padding = text.count("=", max(3, len(text) - 2))
    return ((len(text) - 3) * 3 // 4 - padding) // int(text[1])


@_remembered
def total(text: str) -> int:
    """The sum of the numbers of a text."""
    return int(unpack(text).sum())


@_remembered
def largest(text: str) -> int:
    """The largest of the numbers of a text; 0 if it has none."""
    return int(unpack(text).max(initial=0))


def within(fewest: int, least: int, most: int) -> AfterValidator:
    """A check of a text: it has at least `fewest` numbers, each from `least` to `most`."""

    @_remembered
    def check(text: str) -> str:
        packed, width = _bytes(text), int(text[1])
        if len(packed) < fewest * width:
            raise ValueError(f"must have at least {fewest} number")
        # Most numbers are too narrow to be out of bounds.
        if packed and (least > 0 or most < 256**width - 1):
            numbers = np.frombuffer(packed, f"<u{width}")
            if (least > 0 and numbers.min() < least) or numbers.max() > most:
                raise ValueError(f"must have numbers from {least:,} to {most:,}")
        return text

    return AfterValidator(check)


Packed = Annotated[str, Field(pattern=r"^u[1248]:[A-Za-z0-9+/]*={0,2}$", max_length=LONGEST)]
"""The type of a text."""
