"""npy files of other writers than this project, for tests."""

from __future__ import annotations

HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (32, 48, 16), }"
"""What np.save writes for a float32 array (32, 48, 16), without spaces at the end."""


def npy(header: str, body: bytes, align: int = 64) -> bytes:
    """An npy file of format version 1 whose header fills up `align` bytes."""
    length = -(-(11 + len(header)) // align) * align - 10
    return b"\x93NUMPY\1\0" + length.to_bytes(2, "little") + header.ljust(length - 1).encode() + b"\n" + body
