"""The commit of the workflow, its code, how the kernel schedules it, and the NUMA nodes that it uses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from deepcam import machine_topology
from deepcam.benchmark import arguments, devices, environment, run, storage
from servers import require
from site_example import npy


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Open MPI v5.0.11, package: Open MPI root@x Distribution, ident: 5.0.11", "Open MPI v5.0.11"),
        ("MPICH Version:      4.3.2\nMPICH Release date: Thu Oct 1\n", "MPICH Version: 4.3.2"),
        (
            "MPI VERSION    : CRAY MPICH version 8.1.30.12 (ANL base 3.4a2)\nMPI BUILD INFO : x",
            "MPI VERSION : CRAY MPICH version 8.1.30.12 (ANL base 3.4a2)",
        ),
        ("Intel(R) MPI Library 2021.13 for Linux* OS\n\0", "Intel(R) MPI Library 2021.13 for Linux* OS"),
    ],
)
def test_an_mpi_library_is_named_in_one_line(said, name):
    assert environment.library_name(said) == name


def test_versions_of_what_computes_on_a_gpu_are_recorded(monkeypatch):
    monkeypatch.setattr(environment.importlib.metadata, "version", lambda package: "1")
    names = {"torch", "triton", "nvidia-cudnn-cu13", "nvidia-ml-py", "tensorrt", "torch-tensorrt-rtx"}
    assert names <= environment.describe(1)["packages"].keys()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository with one commit, which has the module that asks for it."""
    git = [require("git", "git"), "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "environment.py").write_text("")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "a"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    monkeypatch.delenv("DEEPCAM_COMMIT", raising=False)
    return tmp_path


def commit():
    return environment.describe(1)["git_commit"]


def test_the_commit_is_the_checkouts(checkout):
    assert len(commit()) == 12
    (checkout / "environment.py").write_text("changed")
    assert commit().endswith("-dirty")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder to another user needs root")
def test_the_commit_of_another_users_checkout_is_known(checkout):
    own = commit()
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, 65534, 65534)
    assert commit() == own


def test_what_git_says_is_recorded_if_it_fails(checkout, monkeypatch):
    Path(checkout / "git").write_text("#!/bin/sh\necho 'fatal: dubious ownership\nmore' >&2\nexit 128\n")
    Path(checkout / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{checkout}:{os.environ['PATH']}")
    assert commit() == "unknown (fatal: dubious ownership)"


def test_a_folder_without_git_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    monkeypatch.delenv("DEEPCAM_COMMIT", raising=False)
    assert commit() == ""


def test_another_repository_that_a_variable_names_is_not_asked(checkout, tmp_path_factory, monkeypatch):
    own = commit()
    other = tmp_path_factory.mktemp("other")
    subprocess.run(["git", "init", "--quiet", other], check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert commit() == own


def test_a_copy_in_another_repository_does_not_have_its_commit(checkout, monkeypatch):
    (checkout / "copy").mkdir()
    (checkout / "copy/environment.py").write_text("")
    monkeypatch.setattr(environment, "__file__", str(checkout / "copy/environment.py"))
    assert commit().startswith("unknown (error: pathspec 'environment.py' did not match any file")
    monkeypatch.setenv("DEEPCAM_COMMIT", "abc")
    assert commit() == "abc"


def test_the_hash_of_the_code_is_that_of_its_names_and_contents(tmp_path):
    def change(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return environment.code_sha256(tmp_path)

    first = change("a.py", "one")
    assert change("notes.txt", "x") == first
    hashes = [first, change("a.py", "two"), change("package/b.py", "new"), change("package/b.py", "")]
    assert len(set(hashes)) == 4
    assert change("package/b.py", "new") == hashes[2]
    (tmp_path / "package/b.py").rename(tmp_path / "package/c.py")
    assert environment.code_sha256(tmp_path) not in hashes


def test_a_process_with_another_priority_says_so():
    program = "from deepcam.benchmark.environment import scheduling; print(scheduling())"
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    variables = os.environ | {"PYTHONPATH": str(Path(environment.__file__).parents[2])}

    def printed(*before):
        command = [*before, sys.executable, "-c", program]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.strip()

    assert printed() == f"SCHED_OTHER, nice {nice}"
    assert printed("nice", "-n", "19") == "SCHED_OTHER, nice 19"
    assert printed("chrt", "--batch", "0") == f"SCHED_BATCH, nice {nice}"


def test_a_record_has_the_numa_nodes_of_rank_device_disk_and_network_cards(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_topology, "numa_node_of_cores", lambda cores: 1)
    monkeypatch.setattr(devices, "numa_node", lambda name: 2)
    monkeypatch.setattr(storage, "_folder", lambda mount: tmp_path)
    monkeypatch.setattr(machine_topology, "numa_node_of_device", lambda folder: 3 if folder == tmp_path else None)
    monkeypatch.setattr(machine_topology, "numa_nodes_of_networks", lambda: {"hsn0": 4})
    npy(tmp_path / "data-0.npy")
    options = "--mode io --reader pread --cache warm --batch-size 1 --num-runs 1 --num-warmup-runs 0 --min-seconds 0"
    run.run(arguments.parse([*options.split(), "--data-dirs", str(tmp_path), "--outputfile", str(tmp_path / "r.json")]))
    found = json.loads((tmp_path / "r.json").read_text())["environment"]
    (rank,), (node,) = found["ranks"], found["nodes"]
    assert (rank["numa_node"], rank["device_numa_node"]) == (1, 2)
    assert (node["file_system"]["numa_node"], node["network_numa_nodes"]) == (3, {"hsn0": 4})
