"""The parts of a model are joined only if every hash is right."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from deepcam.errors import InputError
from deepcam.model import split_file


@pytest.fixture
def share(tmp_path: Path) -> Path:
    (tmp_path / "whole").write_bytes(bytes(range(250)))
    split_file.split(tmp_path / "whole", tmp_path / "share", part_bytes=100)
    return tmp_path / "share"


def test_splitting_and_joining_gives_the_same_file(share: Path, tmp_path: Path) -> None:
    names = ["model_part_aa", "model_part_ab", "model_part_ac"]
    assert sorted(path.name for path in share.iterdir()) == ["SHA256SUMS", *names]
    lines = (share / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == [*names, "model.pth"]
    split_file.assemble(share, tmp_path / "out" / "model.pth")
    assert (tmp_path / "out" / "model.pth").read_bytes() == bytes(range(250))


def test_splitting_replaces_older_parts(share: Path, tmp_path: Path) -> None:
    split_file.split(tmp_path / "whole", share, part_bytes=200)
    assert sorted(path.name for path in share.glob("model_part_*")) == ["model_part_aa", "model_part_ab"]
    split_file.assemble(share, tmp_path / "model.pth")


def test_parts_from_elsewhere_need_only_the_hashes_that_the_documentation_makes(share: Path, tmp_path: Path) -> None:
    (share / "SHA256SUMS").unlink()
    page = (Path(__file__).parents[3] / "docs/model.md").read_text()
    (command,) = [line.strip() for line in page.splitlines() if "sha256sum model_part_*" in line]
    subprocess.run(["bash", "-ec", command], cwd=share, check=True)
    split_file.assemble(share, tmp_path / "model.pth")
    assert (tmp_path / "model.pth").read_bytes() == bytes(range(250))


def test_more_parts_than_names_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(bytes(677))
    with pytest.raises(InputError, match="over 676 parts"):
        split_file.split(tmp_path / "whole", tmp_path / "share", part_bytes=1)


def alter(share: Path, name: str) -> None:
    data = bytearray((share / name).read_bytes())
    data[-1] ^= 1
    (share / name).write_bytes(data)


def alter_whole_sum(share: Path) -> None:
    lines = (share / "SHA256SUMS").read_text().splitlines()
    (share / "SHA256SUMS").write_text("\n".join([*lines[:-1], f"{'0' * 64}  model.pth"]))


def swap(share: Path) -> None:
    (share / "model_part_aa").rename(share / "swapped")
    (share / "model_part_ab").rename(share / "model_part_aa")
    (share / "swapped").rename(share / "model_part_ab")


BAD = {
    "missing": (lambda p: (p / "model_part_ab").unlink(), r"model_part_ab: missing"),
    "extra": (lambda p: (p / "model_part_ad").write_bytes(b"x"), r"model_part_ad: extra"),
    "reordered": (swap, r"model_part_aa: altered"),
    "altered": (lambda p: alter(p, "model_part_ac"), r"model_part_ac: altered"),
    "truncated": (lambda p: (p / "model_part_aa").write_bytes(b""), r"model_part_aa: altered"),
    "no sums": (lambda p: (p / "SHA256SUMS").unlink(), r"SHA256SUMS: missing"),
    "bad sums": (lambda p: (p / "SHA256SUMS").write_text("hello\n"), r"SHA256SUMS: line 1"),
    "path in sums": (lambda p: (p / "SHA256SUMS").write_text(f"{'0' * 64}  ../secret\n"), r"SHA256SUMS: line 1"),
    "whole": (alter_whole_sum, r"joined parts"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_part_is_reported_by_name_and_nothing_is_written(share: Path, tmp_path: Path, case: str) -> None:
    spoil, message = BAD[case]
    spoil(share)
    with pytest.raises(InputError, match=message):
        split_file.assemble(share, tmp_path / "out" / "model.pth")
    assert not list(tmp_path.glob("out/*"))


def test_part_paths_are_in_order_and_a_missing_part_is_reported(share: Path) -> None:
    assert [Path(path).name for path in split_file.part_paths(share)] == [
        "model_part_aa",
        "model_part_ab",
        "model_part_ac",
    ]
    (share / "model_part_ab").unlink()
    with pytest.raises(InputError, match="model_part_ab: missing"):
        split_file.part_paths(share)
