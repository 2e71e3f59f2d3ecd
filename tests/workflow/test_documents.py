"""Links, commands, numbers and lists in the documents agree with the project."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import check_names
import example_numbers
import numpy as np
import pandas as pd
import pytest
import results_example
import yaml
from deepcam import climate, grid
from deepcam.config import parse
from deepcam.config.benchmark_keys import ModeOverrides
from deepcam.record.columns import Bottleneck, Metrics

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.md") if "results" not in path.parts)
DOCUMENTS = [path for path in DOCUMENTS if not any(part.startswith(".") for part in path.parts)]
WITH_COMMANDS = [Path("README.md"), Path("config/README.md"), *(path for path in DOCUMENTS if path.parts[0] == "docs")]

NOT_RUN = {
    "fio ": "needs fio, which root installs",
    "GLIBC_TUNABLES=glibc.malloc.hugetlb=1 fio ": "needs fio, which root installs",
    "elbencho ": "needs elbencho, which root installs",
    "nvidia-ctk ": "needs root and the NVIDIA Container Toolkit",
    "cat /proc/driver/nvidia-fs/": "needs a GPU and the driver of GPUDirect Storage",
    "squeue ": "needs a Slurm cluster",
    "snakemake --profile mysite ": "needs the profile of a site",
    "podman save ": "needs podman and an image",
    "apptainer ": "needs Apptainer",
    "reframe ": "needs ReFrame, which .ci/run does not install",
    'make run ARGS="--configfile mydata.yaml"': "needs the storage of a site",
    "make image-run SOURCE=": "needs the storage of a site",
    ".venv/bin/python -m pip install ": "downloads packages",
    ". .venv/bin/activate": "needs the environment of make venv",
    "conda ": "needs conda",
    "snakemake --sdm conda ": "needs conda",
    "snakedeploy ": "needs snakedeploy and a git host",
    "cd deployed": "needs what snakedeploy makes",
    'make run ARGS="--configfile openvino.yaml"': "needs packages that are optional",
}
"""Beginnings of commands that are not run, and the reason for each."""

WORKFLOW_TARGETS = {"plan": [], "run": [], "report": [], "image-run": [], "bundle": ["--", "bundle"]}
"""Targets of make that start Snakemake, and what they ask of it."""

SHIPPED = {str(path.relative_to(ROOT)) for path in (ROOT / "config").glob("*.yaml")}
"""Configurations for which test_static.py makes a dry run."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
INDENTED = re.compile(r"(?:^\n)((?:^    .+\n)+)", re.M)


def commands(text):
    """The commands of each block, as lists of lines: fenced as sh, or indented."""
    blocks = [(found.start(), found[2]) for found in FENCE.finditer(text) if found[1] == "sh"]
    outside = FENCE.sub(lambda found: re.sub(r"[^\n]", "-", found[0]), text)
    blocks += [(found.start(1), found[1]) for found in INDENTED.finditer(outside)]
    for start, block in sorted(blocks):
        lines = [line.strip() for line in block.replace("\\\n", " ").splitlines()]
        yield text.count("\n", 0, start) + 1, [line for line in lines if line and not line.startswith("#")]


BLOCKS = [
    pytest.param(lines, id=f"{path}:{number}")
    for path in WITH_COMMANDS
    for number, lines in commands((ROOT / path).read_text())
]


def overlays():
    """The YAML blocks of the documents by name, which is the last one in the paragraph before the block."""
    for path in WITH_COMMANDS:
        text = (ROOT / path).read_text()
        for found in FENCE.finditer(text):
            if found[1] == "yaml":
                yield re.findall(r"`([\w-]+\.yaml)`", text[: found.start()])[-1], found[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with the overlays of the documents, and the disk that they mention."""
    folder = tmp_path_factory.mktemp("documents") / "project"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "results", "__pycache__"))
    for name, text in overlays():
        (folder / name).write_text(text)
    (folder / "fast").mkdir()
    return folder


@pytest.fixture
def folder(project):
    """The copy with results, those of last week, and a few small samples."""
    shutil.rmtree(project / "results", ignore_errors=True)
    results = results_example.write(project, results_example.grid_of(lambda number: results_example.STEADY))
    (project / "kept").mkdir(exist_ok=True)
    for name in ("kept/last-week.tar.gz", "kept/monday.tar.gz", "kept/tuesday.tar.gz"):
        results_example.bundle(project / name, results)
    shutil.copy(project / "kept/last-week.tar.gz", results / "bundle.tar.gz")
    shutil.copy(ROOT / "share/model_part_ab", project / "model_part_aa")
    for number, name in enumerate(climate.synthetic_names(8)):
        path = results / f"data/npy/shard-0000{number // 4}" / climate.npy_names(name)[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.zeros((32, 32, 16), np.float32))
    return project


def runnable(line):
    """What is run of a line: the line, except that nothing that takes long is started.

    - make prints the commands that it would run. If one of them is snakemake, the next rule applies to it.
    - snakemake makes a dry run, once for all documents, and not at all if test_static.py makes the same. The tiny
      configuration takes the place of the whole archive, whose thousands of jobs take seconds to list.
    """
    if line.startswith(tuple(NOT_RUN)):
        return "true"
    words = shlex.split(line, comments=True)
    if words[0] == "snakemake":
        return dry_run(words[1:])
    if words[0] == "make":
        arguments = next((word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")), "")
        shown = shlex.join(["make", "--dry-run", "CONTAINER=docker", *words[1:]]).replace("/mnt/fast", "fast")
        if words[1] in WORKFLOW_TARGETS:
            return f"{shown}\n{dry_run([*shlex.split(arguments), *WORKFLOW_TARGETS[words[1]]])}"
        return shown
    return line


def dry_run(words):
    """Snakemake's dry run with these arguments, once."""
    words = [word for word in words if word not in ("--dry-run", "--quiet")]
    words = ["config/tiny.yaml" if word == "config/full.yaml" else word for word in words]
    if (words[:1] == ["--configfile"] and len(words) == 2 and words[1] in SHIPPED) or tuple(words) in dry_run.done:
        return "true"
    dry_run.done.add(tuple(words))
    cores = [] if "--cores" in words or "--workflow-profile" in words else ["--cores", "2"]
    return shlex.join(["snakemake", "--dry-run", "--quiet=all", *cores, *words])


dry_run.done = set()


@pytest.mark.parametrize("lines", BLOCKS)
def test_commands_run(lines, folder):
    places = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_btl": "self,sm",
        "PIP_EXTRA_INDEX_URL": "",
    }
    script = "\n".join(runnable(line) for line in lines)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env=os.environ | places, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, f"{script}\n{ended.stdout}{ended.stderr}"


def test_commands_that_are_not_run_exist():
    lines = [line for block in BLOCKS for line in block.values[0]]
    assert [start for start in NOT_RUN if not any(line.startswith(start) for line in lines)] == []


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=str)
def test_every_block_says_what_it_is(path):
    languages = {found[1] for found in FENCE.finditer((ROOT / path).read_text())}
    assert languages <= {"sh", "yaml", "text"}


@pytest.mark.parametrize(("name", "text"), list(overlays()), ids=[name for name, _ in overlays()])
def test_overlays_are_configurations_and_no_default_of_one_mode_wins_over_them(name, text):
    stated = yaml.safe_load(text).get("benchmark", {})
    benchmark = parse(yaml.safe_load(text)).benchmark
    for mode in grid.MODES:
        keys = stated.keys() & ModeOverrides.model_fields.keys() - stated.get("per_mode", {}).get(mode, {}).keys()
        assert {key: getattr(benchmark.of_mode(mode), key) for key in keys} == {
            key: getattr(benchmark, key) for key in keys
        }


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_lead_somewhere(path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code((ROOT / path).read_text())):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        place = (ROOT / path).parent / file if file else ROOT / path
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert broken == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_numbers_in_the_readme_are_those_of_the_example():
    _, written, _ = example_numbers.parts((ROOT / "README.md").read_text())
    expected = example_numbers.text(pd.read_csv(example_numbers.TABLE))
    assert written == expected, "run python tests/example_numbers.py, and read the sentences around the numbers again"
    assert sum(path.stat().st_size for path in example_numbers.TABLE.parent.iterdir()) < 300_000


def test_every_check_has_an_entry_with_a_remedy():
    entries = re.findall(r"^### `(\w+)`$", (ROOT / "docs/results.md").read_text(), re.M)
    assert sorted(entries) == sorted(
        check_names.names() | {"bottleneck"}
    )  # of the table, which a single record does not have


def test_every_mode_reader_and_column_is_explained():
    explained = set(re.findall(r"`(\w[\w-]*)`", (ROOT / "docs/results.md").read_text()))
    columns = {*grid.Cell.__dataclass_fields__, *Metrics.model_fields, *Bottleneck.model_fields}
    assert {*grid.MODES, *grid.READERS, *columns} - explained == set()
