"""The fingerprint of an engine is read as it was written, and one that was edited is rejected."""

from __future__ import annotations

from pathlib import Path

import pytest
from deepcam.errors import InputError
from deepcam.model.fingerprint import read_fingerprint, write_fingerprint

CONTENT = {"backend": "eager", "precision": "fp32", "input_shape": [64, 96, 16], "build_seconds": 0.1}


def test_a_fingerprint_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_fingerprint(tmp_path / "cpu.pt2", CONTENT)
    assert read_fingerprint(tmp_path / "cpu.pt2") == CONTENT


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        ('"fp32"', '"bf16"', "changed since the engine was built"),
        ('"digest"', '"hash"', "not the fingerprint of an engine"),
        ("{", "[{", "not the fingerprint of an engine"),
    ],
)
def test_a_fingerprint_that_was_edited_is_rejected(tmp_path: Path, before: str, after: str, error: str) -> None:
    write_fingerprint(tmp_path / "cpu.pt2", CONTENT)
    edited = tmp_path / "cpu.json"
    edited.write_text(edited.read_text().replace(before, after))
    with pytest.raises(InputError, match=rf"cpu\.json: {error}.*--forcerun compile_engine"):
        read_fingerprint(tmp_path / "cpu.pt2")
