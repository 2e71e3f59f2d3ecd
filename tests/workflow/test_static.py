"""Lint, format, and a dry run of every shipped configuration."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from deepcam.grid import READERS
from deepcam.report import contents

ROOT = Path(__file__).parents[2]
DOWNLOADS = {"nersc.yaml": "8", "gpu.yaml": "16", "full.yaml": "2132"}
ON_DEVICES = {
    "compile_engine",
    "predict_reference",
    "check_accuracy",
    "choose_engine",
    "run_rounds",
    "predict_samples",
    "train_model",
}
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


@pytest.fixture(scope="module")
def slurm_plan(tmp_path_factory):
    """The rule and resources of each job under the Slurm profile, with nodes of two GPUs and a rank on each."""
    folder = tmp_path_factory.mktemp("slurm")
    overlay = {
        "engines": [{"backend": "aotinductor", "precision": "fp16"}, {"backend": "eager", "precision": "auto"}],
        "devices": [0, 1],
        "cluster": {"account": "climate", "partition": "gpus", "minutes": 30},
        "benchmark": {"ranks_per_node": 1},
    }
    (folder / "overlay.json").write_text(json.dumps(overlay))
    result = run(
        "snakemake", "all", "train", "verify", "-n", "--snakefile", ROOT / "Snakefile", "--workflow-profile",
        ROOT / "profiles/slurm", "--configfile", ROOT / "config/tiny.yaml", "overlay.json", cwd=folder,
    )  # fmt: skip
    return resources_of_jobs(result)


def resources_of_jobs(dry_run):
    """The rule and resources of each job."""
    assert dry_run.returncode == 0, dry_run.stdout + dry_run.stderr
    return re.findall(r"^rule (\w+):\n.*?^    resources: (.*?)$", dry_run.stdout + dry_run.stderr, re.M | re.S)


def test_profiles_state_the_same_limits():
    limits = {path: yaml.safe_load(path.read_text())["resources"] for path in (ROOT / "profiles").glob("*/*.yaml")}
    assert len(limits) >= 2
    assert all(limit == {"benchmark_slot": 1, "download_slot": 1} for limit in limits.values())


def test_slurm_jobs_ask_for_account_partition_time_memory_and_gpus(slurm_plan):
    submitted = [(rule, resources) for rule, resources in slurm_plan if rule not in local_rules()]
    for rule, resources in submitted:
        assert "slurm_account=climate, slurm_partition=gpus, runtime=30" in resources, rule
        assert "mem_mb=" in resources, rule
        assert ("gres=gpu:2" in resources) == (rule in ON_DEVICES), rule
    assert {rule for rule, _ in submitted} >= ON_DEVICES


def test_options_of_snakemake_decide_what_is_not_configured_and_what_is_configured_wins(tmp_path):
    (tmp_path / "site.yaml").write_text("cluster: {partition: gpus}")
    planned = run(
        "snakemake", "data", "-n", "--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/slurm",
        "--configfile", ROOT / "config/tiny.yaml", "site.yaml",
        "--default-resources", "slurm_account=acc", "slurm_partition=part", "runtime=17", "qos=long",
        "--set-resources", "convert_shard:mem_mb=64000", "convert_shard:runtime=99", cwd=tmp_path,
    )  # fmt: skip
    submitted = [(rule, asked.split(", ")) for rule, asked in resources_of_jobs(planned) if rule not in local_rules()]
    assert {rule for rule, _ in submitted} == {"synthesize_shard", "convert_shard", "describe_dataset"}
    for rule, asked in submitted:
        set_for_rule = ["mem_mb=64000", "runtime=99"] if rule == "convert_shard" else ["mem_mb=4000", "runtime=17"]
        assert {"slurm_account=acc", "slurm_partition=gpus", "qos=long", *set_for_rule} <= set(asked), rule


def test_small_jobs_run_beside_snakemake():
    local = local_rules()
    assert local >= {"fetch_file_index", "assemble_model", "aggregate_results", "plot_io_throughput"}
    assert not local & {"download_shard", "synthesize_shard", "convert_shard", "describe_dataset", *ON_DEVICES}


def local_rules():
    """The names of the rules that run beside Snakemake; one without a name stands for all figures from tables."""
    files = "".join(path.read_text() for path in [ROOT / "Snakefile", *ROOT.glob("rules/*.smk")])
    rules = [rule for rule in re.split(r"^ *rule ?(?=\w*:$)", files, flags=re.M) if "localrule: True" in rule]
    names = {rule.partition(":")[0] for rule in rules}
    return names | {f"plot_{name}" for name in contents.FIGURES} if "" in names else names


def test_slurm_gives_each_group_its_nodes_to_itself(slurm_plan):
    groups = [resources for rule, resources in slurm_plan if rule == "run_rounds"]
    choices = [resources for rule, resources in slurm_plan if rule == "choose_engine"]
    assert len(choices) == 2  # one for each device of a node
    for resources in groups + choices:
        assert "benchmark_slot=1" in resources and "slurm_extra=--exclusive" in resources
    for ranks in (1, 2):
        assert sum(f"tasks={ranks}, nodes={ranks}," in resources for resources in groups) == 1


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ("devices: auto", "devices: auto looks at this machine"),
        (
            "devices: [4, 5]",
            "devices: [4, 5] is not possible on a cluster, because each job numbers its GPUs from 0; for 2 GPUs per "
            "node, write [0, 1]",
        ),
        ("devices: [0, 1]", "benchmark.ranks_per_node: 8 ranks would share the 2 GPUs of a node that devices names"),
    ],
)
def test_what_a_cluster_does_not_have_is_refused_before_any_job(site, message, tmp_path):
    (tmp_path / "site.yaml").write_text(site)
    result = run(
        "snakemake", "--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/slurm",
        "--configfile", "site.yaml", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode != 0
    assert f"error: {message}" in result.stderr
    assert not list(tmp_path.glob("results/data/*"))


def test_a_precision_that_this_cpu_would_emulate_is_refused_before_any_job(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT / 'workflow_scripts')!r})\n"
        "from deepcam import machine; machine.cpu = lambda: ('plain', frozenset())\n"
    )
    (tmp_path / "bf16.yaml").write_text("engines: [{backend: eager, precision: bf16}]")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = run(
        "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1", "--configfile", "bf16.yaml", cwd=tmp_path
    )  # fmt: skip
    assert result.returncode != 0
    assert "error: precision bf16 on cpu: this CPU has neither amx_bf16 nor avx512_bf16" in result.stderr
    assert not list(tmp_path.glob("results/data/*"))


def test_gpudirect_storage_that_does_not_work_is_refused_before_any_job(tmp_path):
    grid = {"modes": ["io"], "readers": ["dali-gds"], "cache": ["cold"]}
    (tmp_path / "gds.yaml").write_text(json.dumps({"devices": [0], "benchmark": grid}))
    result = run(
        "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1", "--configfile", "gds.yaml", cwd=tmp_path
    )  # fmt: skip
    assert result.returncode != 0
    assert "error: dali-gds: " in result.stderr and "remove dali-gds from benchmark.readers" in result.stderr
    assert not list(tmp_path.glob("results/data/*"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_dry_run(overlay, tmp_path):
    arguments = ["snakemake", "-n", "--quiet", "rules", "--snakefile", ROOT / "Snakefile", "--cores", "2"]
    result = run(*arguments, "--configfile", ROOT / "config" / overlay, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = dict(line.split() for line in result.stdout.splitlines() if len(line.split()) == 2)
    assert jobs.get("download_shard") == DOWNLOADS.get(overlay)
    # A grid that only reads needs no engine, and no figure of one.
    assert ("compile_engine" in jobs) is ("predict_samples" in jobs) is ("readers" not in overlay)


def test_throughput_over_time_is_drawn_for_the_cells_with_records_if_configured(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCAM_REPORT_ONLY", "1")
    measured, other = "io_pread-discard_cold_none_r0001_b002_t01x01", "io_pread-discard_warm_none_r0001_b002_t01x01"
    for path in (f"results/benchmark/{measured}/0.json", "results/data/dataset.json"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    (tmp_path / "report.yaml").write_text("report: {time_series: true}")
    command = ["snakemake", "-n", "figures", "bundle", "--snakefile", ROOT / "Snakefile", "--cores", "1"]
    command += ["--configfile", ROOT / "config/tiny.yaml"]
    always, configured = (run(*command, *overlay, cwd=tmp_path) for overlay in ((), ("report.yaml",)))
    assert always.returncode == configured.returncode == 0, configured.stdout + configured.stderr
    assert "time_series" not in always.stdout
    for suffix in ("svg", "png", "csv", "histogram.csv"):
        assert f"results/figures/time_series/{measured}.{suffix}" in configured.stdout
    assert f"time_series/{other}" not in configured.stdout


def test_the_grid_of_readers_has_every_one_that_needs_no_gpu():
    benchmark = yaml.safe_load((ROOT / "config/readers.yaml").read_text())["benchmark"]
    assert sorted(benchmark["readers"]) == sorted(name for name, reader in READERS.items() if not reader.gpu)


def test_the_grid_of_readers_for_a_gpu_has_every_one_that_needs_no_gpudirect_storage():
    benchmark = yaml.safe_load((ROOT / "config/gpu-readers.yaml").read_text())["benchmark"]
    assert sorted(benchmark["readers"]) == sorted(READERS.keys() - {"dali-gds"})


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
            "error: nonsense: unknown key; allowed are data, model, train, engines",
        ),
        ("data: {num_files: 0}", "error: data.num_files: 0 is not allowed; it must be a number of samples"),
        ("benchmark: {readers: [dali]}", "error: benchmark.readers.0: 'dali' is not allowed; it must be one of"),
        ("data: {num_files: 1}", "error: data.num_files: 1 is less than the largest global batch"),
        ("model: {parts: nowhere}", "nowhere/SHA256SUMS: missing"),
        ("engines: [{backend: onnx}]", "error: engines.0.backend: 'onnx' is not allowed; it must be 'auto', 'eager'"),
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
