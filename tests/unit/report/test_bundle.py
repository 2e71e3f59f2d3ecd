"""What a bundle packs: the workflow's own files and the results, and nothing that only lies beside them."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from deepcam.errors import InputError
from deepcam.report import bundle
from servers import require

ROOT = Path(__file__).parents[3]

WORKFLOW = (
    "Snakefile", "README.md", "config/config.yaml", "envs/Containerfile", "share/model_part_aa", "share/SHA256SUMS",
    "share/report/a.html.j2", "workflow_scripts/run.py", "workflow_scripts/run.sh",
)  # fmt: skip

FOREIGN = (
    ".netrc", "notes.txt", "config/.secret.yaml", "config/id_rsa", "config/.ssh/a.yaml", "share/data.npy",
    "workflow_scripts/__pycache__/run.pyc", "workflow_scripts/.run.py.swp", "share/a.svg.part",
    "share/results/published.tar.gz",
)  # fmt: skip
"""Files that lie in the folder, and that neither git nor their names make the workflow's."""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A working folder with a workflow in `code`, files beside it, and results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    for name in (*WORKFLOW, *FOREIGN):
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "outside.yaml").write_text("outside")
    (tmp_path / "code/config/out.yaml").symlink_to(tmp_path / "outside.yaml")
    (tmp_path / "code/config/in.yaml").symlink_to("config.yaml")
    (tmp_path / "code/config/loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "code/rules").symlink_to("/etc")
    os.mkfifo(tmp_path / "code/config/fifo.yaml")
    for name in ("results/config.yaml", "results/benchmark/x/0.json", "dataset.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def git(*arguments):
    subprocess.run([require("git", "git"), "-C", "code", *arguments], check=True, capture_output=True)


def packed(*made, output="bundle.tar.gz"):
    """The names in a bundle, without its top folder."""
    bundle.write(
        Path("code"), Path("results/config.yaml"), Path("dataset.json"), list(map(Path, made)), Path(output), "cpu"
    )
    with tarfile.open(output) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


ADDED = {"REPRODUCE.md", "results.sha256", "results/data/dataset.json", "config/bundle.yaml"}


def test_outside_of_a_checkout_files_are_packed_by_their_place_and_name(run):
    assert packed() == {*WORKFLOW, *ADDED, "config/in.yaml"}


def test_in_a_checkout_only_tracked_files_are_packed(run):
    git("init", "--quiet")
    git("add", "--force", *WORKFLOW, "config/in.yaml", "config/out.yaml", "rules", "share/results/published.tar.gz")
    (run / "code/config/untracked.yaml").write_text("a secret")
    (run / "code/envs/Containerfile").unlink()
    assert packed() == {*WORKFLOW, *ADDED, "config/in.yaml"} - {"envs/Containerfile"}


def test_a_folder_in_a_checkout_of_something_else_is_no_checkout(run, monkeypatch):
    monkeypatch.delitem(os.environ, "GIT_CEILING_DIRECTORIES")
    subprocess.run([require("git", "git"), "init", "--quiet", "."], check=True, capture_output=True)
    assert packed() == {*WORKFLOW, *ADDED, "config/in.yaml"}


def test_without_git_a_checkout_is_packed_by_place_and_name(run, monkeypatch):
    git("init", "--quiet")
    monkeypatch.setenv("PATH", "/nowhere")
    assert packed() == {*WORKFLOW, *ADDED, "config/in.yaml"}


def test_the_same_files_are_packed_with_and_without_git():
    if not shutil.which("git") or bundle._tracked(ROOT) is None:
        pytest.skip("not a git checkout")
    tracked = {path for path in bundle._tracked(ROOT) if path.exists()}
    assert tracked <= set(bundle._known(ROOT))


def test_the_same_content_gives_the_same_bytes(run):
    packed("results/benchmark/x/0.json", output="one")
    for path in (run / "code").rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))
    packed("results/benchmark/x/0.json", output="two")
    assert (run / "one").read_bytes() == (run / "two").read_bytes()


def test_results_may_lie_elsewhere_as_a_whole(run):
    (run / "results").rename(run / "scratch")
    (run / "results").symlink_to("scratch")
    assert "results/benchmark/x/0.json" in packed("results/benchmark/x/0.json")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "results/../outside.yaml", "outside.yaml", "results/out", "results/etc/passwd"]
)
def test_a_result_that_leads_out_of_the_results_is_refused(name, run):
    (run / "results/out").symlink_to(run / "outside.yaml")
    (run / "results/etc").symlink_to("/etc")
    with pytest.raises(InputError, match="leads out of results, so it is not packed"):
        packed(name)
    assert not (run / "bundle.tar.gz").exists()
