"""Processes that compute keep the memory that they free, wherever they start, unless the user decides otherwise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from deepcam import allocator
from mpirun import mpirun

ROOT = Path(__file__).parents[2]
KEPT = ":".join(f"{name}={value}" for name, value in allocator.SETTINGS.items())
COUNT_FAULTS = """\
import resource

def faults():
    bytes(b"x") * 2**26
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

faults()
first = faults()
print("faults", faults() - first, flush=True)
"""
"""A program that fills 64 MiB again and again, and says how many page faults the third time has: thousands if the
memory went back to the kernel, even with huge pages at least 32."""


@pytest.fixture
def program(tmp_path):
    if allocator.describe({}).partition(" ")[0] != "glibc":
        pytest.skip("this C library has other settings")
    path = tmp_path / "count_faults.py"
    path.write_text(COUNT_FAULTS)
    return path


@pytest.mark.parametrize(
    ("libc", "given", "found"),
    [
        ("glibc", {}, KEPT),
        ("glibc", {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}, f"{KEPT}:glibc.malloc.arena_max=1"),
        ("glibc", {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}, KEPT.replace("hugetlb=1", "hugetlb=0")),
        ("glibc", {"LD_PRELOAD": "/usr/lib/libjemalloc.so.2"}, None),
        ("glibc", {"LD_PRELOAD": "/usr/lib/libtcmalloc_minimal.so.4"}, None),
        ("glibc", {"LD_PRELOAD": "/usr/lib/libother.so"}, KEPT),
        ("", {}, None),
    ],
)
def test_the_user_s_settings_and_allocator_win(monkeypatch, libc, given, found):
    monkeypatch.setattr("platform.libc_ver", lambda: (libc, ""))
    environment = allocator.keeping_heap({"HOME": "/", **given})
    assert environment.get("GLIBC_TUNABLES") == found
    assert environment.items() >= ({"HOME": "/", **given} | ({"GLIBC_TUNABLES": found} if found else {})).items()


def test_a_record_names_the_allocator_and_the_huge_pages(monkeypatch, tmp_path):
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    assert allocator.describe({}) == "glibc 2.36"
    assert allocator.describe({"LD_PRELOAD": "/usr/lib/libmimalloc.so"}) == "mimalloc"
    monkeypatch.setattr(allocator, "HUGE_PAGES", tmp_path / "enabled")
    assert allocator.transparent_huge_pages() is None
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    assert allocator.transparent_huge_pages() == "madvise"


def test_freed_memory_stays_in_every_rank_under_mpirun(monkeypatch, tmp_path, program):
    monkeypatch.setenv("GLIBC_TUNABLES", KEPT)
    ended = mpirun(2, program.name, tmp_path, timeout=60)
    counts = [int(count) for count in re.findall(r"faults (\d+)", ended.stdout)]
    assert len(counts) == 2 and max(counts) < 20, ended.stdout + ended.stderr


def test_keep_heap_runs_a_program_that_keeps_its_memory(monkeypatch, tmp_path, program):
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'workflow_scripts'}{os.pathsep}{tmp_path}"}
    for words, kept in ((["keep_heap", program.stem], True), ([program.stem], False)):
        ended = subprocess.run([sys.executable, "-m", *words], env=environment, capture_output=True, text=True)
        assert (int(re.fullmatch(r"faults (\d+)\n", ended.stdout)[1]) < 20) is kept, ended.stderr


def test_keep_heap_passes_options_and_the_exit_status_on():
    command = [sys.executable, "-m", "keep_heap", "train_model", "--no-such-option"]
    ended = subprocess.run(command, cwd=ROOT / "workflow_scripts", capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "") and ended.stderr.startswith("error: ")


def test_the_image_has_glibc_and_no_allocator_of_its_own():
    image = (ROOT / "envs/Containerfile").read_text()
    assert re.search(r"^ARG BASE=(debian|ubuntu):", image, re.M)
    assert not re.search(r"LD_PRELOAD|GLIBC_TUNABLES|MALLOC", image)
