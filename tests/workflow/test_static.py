"""Lint, format, and a dry run of every shipped configuration."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from deepcam.grid import GPU_READERS
from deepcam.readers import MODULES

ROOT = Path(__file__).parents[2]
DOWNLOADS = {"nersc.yaml": "8", "gpu.yaml": "16", "full.yaml": "2132"}
OVERLAYS = sorted(path.name for path in (ROOT / "config").glob("*.yaml"))


def run(*command, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("snakefmt", "--check", "Snakefile", "rules"),
        ("snakemake", "--lint"),
    ],
    ids=" ".join,
)
def test_style(command):
    result = run(*command)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*/*.yaml")), ids=lambda path: path.parent.name)
def test_every_profile_states_the_limits(profile):
    limits = yaml.safe_load(profile.read_text())["resources"]
    assert limits["benchmark_slot"] == limits["download_slot"] == 1


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_dry_run(overlay, tmp_path):
    arguments = ["snakemake", "-n", "--quiet", "rules", "--snakefile", ROOT / "Snakefile", "--cores", "2"]
    result = run(*arguments, "--configfile", ROOT / "config" / overlay, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = dict(line.split() for line in result.stdout.splitlines() if len(line.split()) == 2)
    assert jobs.get("download_shard") == DOWNLOADS.get(overlay)


def test_the_grid_of_readers_has_every_one_that_needs_no_gpu():
    benchmark = yaml.safe_load((ROOT / "config/readers.yaml").read_text())["benchmark"]
    assert sorted(benchmark["readers"]) == sorted(set(MODULES) - set(GPU_READERS))


def test_engines_for_gpus_are_planned_without_one(tmp_path):
    engine = "{backend: tensorrt, precision: fp16, cuda_graphs: true}"
    (tmp_path / "gpu.yaml").write_text(f"engines: [{engine}]\ndevices: [0, 1]")
    result = run("snakemake", "-n", "--snakefile", ROOT / "Snakefile", "--configfile", "gpu.yaml", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for path in ("model/engines/tensorrt-fp16-graphs/cuda1.pt2", "accuracy/tensorrt-fp16-graphs/cuda0.json"):
        assert path in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "nonsense: 1",
            "error: top level: unknown key nonsense; allowed are data, model, train, engines",
        ),
        ("data: {num_files: 0}", "error: data.num_files: 0 is less than the minimum of 1"),
        ("data: {num_files: 1}", "error: data.num_files: 1 is less than the largest global batch"),
        ("model: {parts: nowhere}", "nowhere/SHA256SUMS: missing"),
        ("engines: [{backend: tensorrt}]", "error: engines: tensorrt-auto on devices: cpu: TensorRT runs on NVIDIA"),
        ("engines: [{backend: eager, cuda_graphs: true}]", "error: engines: eager-auto-graphs on devices: cpu: CUDA"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_makes_no_job(change, message, tmp_path):
    (tmp_path / "changed.yaml").write_text(change)
    result = run("snakemake", "-n", "--snakefile", ROOT / "Snakefile", "--configfile", "changed.yaml", cwd=tmp_path)
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and message in lines[0], result.stderr
    assert not (tmp_path / "results").exists()
