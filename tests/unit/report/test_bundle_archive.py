"""Bundles that somebody else made: limits of size, no links, and one line for what tarfile stumbles over."""

import gzip
import io
import random
import re
import tarfile

import pytest
import record_mutations
from deepcam.errors import InputError
from deepcam.report.comparison import archive, sides
from results_example import GRID, measured, write

ANY = re.compile(".*")
MUTATIONS = 300
SEED = 1


def packed(path, *members, form=tarfile.PAX_FORMAT):
    """An archive of members (name, content, more fields), whose content may be missing although they have a size."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as made:
        for name, content, fields in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for field, value in fields.items():
                setattr(member, field, value)
            made.fileobj.write(member.tobuf(form))
            made.fileobj.write(content + b"\0" * (-len(content) % 512))
    path.write_bytes(gzip.compress(raw.getvalue(), 1))
    return path


def refusal(path):
    with pytest.raises(InputError) as error:
        for _ in archive.members(path, ANY):
            pass
    assert "\n" not in str(error.value) and len(str(error.value)) < 2000
    assert str(error.value).startswith(f"{path}: no .tar.gz bundle that can be read (")
    return str(error.value)


def test_files_are_read_in_their_order(tmp_path):
    path = packed(tmp_path / "b", ("a/x", b"1", {}), ("./a/y", b"22" * 2**20, {}), ("a/" + "z" * 150, b"3", {}))
    found = list(archive.members(path, ANY))
    assert [(str(name)[:3], len(content)) for name, content in found] == [("a/x", 1), ("a/y", 2**21), ("a/z", 1)]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (("x", b"", {"size": 10**12}), "x has 1,000,000,000,000 bytes; at most 268,435,456 are read"),
        (("x", b"", {"size": 20_000}), "unexpected end of data"),
        (("x", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}), "x is not a file inside of it"),
        (("x", b"", {"type": tarfile.LNKTYPE, "linkname": "y"}), "x is not a file inside of it"),
        (("x", b"", {"type": tarfile.FIFOTYPE}), "x is not a file inside of it"),
        (("../x", b"", {}), "../x is not a file inside of it"),
        (("x", b"", {"pax_headers": {"path": "a\0b"}}), r"a\x00b is not a path"),
        (("x", b"", {"pax_headers": {"path": "\x1b]0;x\x07"}}), r"\x1b]0;x\x07 is not a path"),
        (("x", b"", {"pax_headers": {"path": "y" * 10**5}}), "y is not a path"),
        (("x", b"", {"pax_headers": {"comment": "y" * 2**21}}), "a header of 2,097,664 bytes"),
        (("x", b"", {"pax_headers": {"GNU.sparse.map": "x,y", "GNU.sparse.size": "zz"}}), "invalid literal"),
        (
            ("x", b"", {"pax_headers": {"GNU.sparse.map": "0,1", "GNU.sparse.size": "1"}}),
            "x is not a file inside of it",
        ),
    ],
)
def test_a_member_that_no_bundle_has_is_refused(member, message, tmp_path):
    assert message in refusal(packed(tmp_path / "b", member))


def test_a_file_that_is_there_twice_is_refused(tmp_path):
    assert "a/x is in it twice" in refusal(packed(tmp_path / "b", ("a/x", b"1", {}), ("./a/x", b"2", {})))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": -1024}, "x has -1,024 bytes"),
        ({"size": -1024, "type": tarfile.GNUTYPE_LONGNAME}, "a header of -1,024 bytes"),
    ],
)
def test_a_size_under_0_does_not_let_tarfile_read_the_same_header_for_ever(fields, message, tmp_path):
    refused = refusal(packed(tmp_path / "b", ("x", b"", fields), form=tarfile.GNU_FORMAT))
    assert message in refused or "(invalid offset)" in refused  # which tarfile of Python 3.11.2 says


def test_the_whole_and_its_number_of_files_have_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "ALWAYS_BYTES", 10**6)
    one = ("x", b"\0" * 600_000, {})
    assert "more than 1,000,000 bytes" in refusal(packed(tmp_path / "b", one, ("y", *one[1:])))
    monkeypatch.setattr(archive, "MOST_MEMBERS", 2)
    assert "more than 2 files" in refusal(packed(tmp_path / "b", *((f"{i}", b"", {}) for i in range(3))))


def test_what_follows_a_damaged_header_is_not_left_out_silently(tmp_path):
    path = packed(tmp_path / "b", ("x", b"1", {}), ("y", b"2", {}))
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[1024] ^= 1
    path.write_bytes(gzip.compress(raw))
    assert "a damaged header" in refusal(path)


def test_a_damaged_checksum_of_the_whole_is_found(tmp_path):
    path = packed(tmp_path / "b", ("x", b"1", {}))
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    assert "CRC check failed" in refusal(path)


def mutated(raw, rng):
    """The archive with other values in the fields of some headers, whose checksums are right."""
    raw = bytearray(raw)
    headers = [start for start in range(0, len(raw), 512) if raw[start + 257 : start + 262] == b"ustar"]
    for _ in range(rng.randint(1, 3)):
        start = rng.choice(headers)
        field, size = rng.choice([(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)])
        value = rng.choice(
            [rng.randbytes(size), b"\xff" * size, b"\x80" + rng.randbytes(size), b"7" * size, b"gxLKSDV"]
        )
        raw[start + field : start + field + size] = value[:size].ljust(size, b"\0")
        raw[start + 148 : start + 156] = b" " * 8
        raw[start + 148 : start + 156] = b"%06o\0 " % sum(raw[start : start + 512])
    return bytes(raw)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_mutated_bundle_is_read_or_refused_in_one_line(form, tmp_path, seed=SEED, mutations=MUTATIONS):
    results = write(tmp_path, {cell: [measured(cell)] for cell in GRID[:2]}, {"devices": "cpu", "data": {"dir": "x"}})
    files = [path for path in sorted(results.rglob("*")) if path.is_file()]
    members = [(f"top/{path.relative_to(tmp_path)}", path.read_bytes(), {}) for path in files]
    long = ("top/" + "y" * 200, b"", {"pax_headers": {"comment": "x" * 600}})
    whole = packed(tmp_path / "whole", *members, long, form=form).read_bytes()
    raw, rng = gzip.decompress(whole), random.Random(seed)
    for number in range(mutations):
        data = gzip.compress(mutated(raw, rng), 1) if number % 3 else record_mutations.damaged(whole, rng)
        (tmp_path / "bundle").write_bytes(data)
        try:
            assert sides.read(tmp_path / "bundle").records
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000
        except Exception as error:
            raise AssertionError(f"mutation {number} of seed {seed}") from error
