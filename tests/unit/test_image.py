"""`make image`, `make image-run`: what they ask of podman or docker, and what they say where something is missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from deepcam.benchmark import environment

ROOT = Path(__file__).parents[2]
RUNTIME = '#!/bin/sh\n[ "$1" != images ] || { echo $IMAGE; exit; }\necho "$@"\n'


@pytest.fixture
def make(tmp_path):
    """make in a folder of its own, where PATH has but the runtimes that are named, which say what they were asked."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("sh", "bash", "id", "uname", "mkdir"):
        (commands / name).symlink_to(shutil.which(name))

    def run(*arguments: str, runtimes: tuple[str, ...] = (), image: str = "0123") -> tuple[int, str]:
        for name in runtimes:
            (commands / name).write_text(RUNTIME)
            (commands / name).chmod(0o755)
        result = subprocess.run(
            [shutil.which("make"), "--silent", "-C", tmp_path, *arguments],
            env={"PATH": str(commands), "IMAGE": image}, capture_output=True, text=True,
        )  # fmt: skip
        return result.returncode, result.stdout + result.stderr

    return run


def test_the_image_is_of_the_kind_that_is_named(make):
    code, asked = make("image", "KIND=gpu", "ARGS=--pull", runtimes=("podman",))
    assert (code, asked.split()[0], asked.split()[-2:]) == (0, "build", ["--pull", "."])
    assert "--build-arg KIND=gpu --tag deepcam:gpu" in asked


@pytest.mark.parametrize(
    "runtimes, user", [(("docker",), f"--user {os.getuid()}:{os.getgid()} "), (("docker", "podman"), "--user 0:0 ")]
)
def test_what_is_written_is_the_callers(make, runtimes, user):
    code, asked = make("image-run", "ARGS=--configfile config/tiny.yaml", runtimes=runtimes)
    assert code == 0 and user in asked and asked.endswith(" deepcam:cpu --configfile config/tiny.yaml\n")


def test_containers_share_the_machines_lock(make):
    """It is a socket, and containers with a network of their own have sockets of their own."""
    code, asked = make("image-run", runtimes=("docker",))
    assert code == 0 and " --network=host " in asked


def test_the_data_may_lie_elsewhere(make, tmp_path):
    (tmp_path / "fast").mkdir()
    code, asked = make("image-run", "DATA=fast", runtimes=("podman",))
    assert code == 0 and f"--volume {tmp_path}/fast:/work/results/data " in asked
    assert (tmp_path / "results/data").is_dir()


def test_samples_of_the_site_are_visible_at_their_path_and_cannot_be_written(make, tmp_path):
    (tmp_path / "shared/samples").mkdir(parents=True)
    (tmp_path / "link").symlink_to("shared/samples")
    code, asked = make("image-run", f"SOURCE={tmp_path}/link", runtimes=("podman",))
    assert code == 0 and f"--volume {tmp_path}/shared/samples:{tmp_path}/link:ro " in asked
    code, said = make("image-run", "SOURCE=/nowhere", runtimes=("podman",))
    assert code == 2 and "SOURCE=/nowhere: there is no such folder" in said and "run" not in said


@pytest.mark.parametrize("target", ["image", "image-run"])
def test_no_runtime_is_told(make, target):
    code, said = make(target)
    assert code == 2 and "neither podman nor docker is found: install one" in said


def test_no_image_is_told(make):
    code, said = make("image-run", runtimes=("docker",), image="")
    assert code == 2 and said.startswith("error: there is no image deepcam:cpu; first: make image KIND=cpu\n")


def test_no_folder_for_the_data_is_told(make):
    code, said = make("image-run", "DATA=/nowhere", runtimes=("podman",))
    assert code == 2 and "DATA=/nowhere: there is no such folder; make it first" in said and "run" not in said


def test_records_made_in_the_image_name_its_commit(make, monkeypatch):
    """Git's folder is not in the image, nor is git."""
    code, asked = make("image", runtimes=("podman",))
    assert code == 0 and "--build-arg COMMIT=" in asked
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("DEEPCAM_COMMIT", "abc")
    assert environment.describe(1)["git_commit"] == "abc"
