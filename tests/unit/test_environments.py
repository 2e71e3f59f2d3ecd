"""The environment files agree with each other and with the environment that runs the tests."""

import importlib.metadata
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ENVS = Path(__file__).parents[2] / "envs"
FILES = ("requirements-cpu.txt", "requirements-gpu.txt", "cpu.yaml", "gpu.yaml")
DEV = "requirements-dev.txt"
OPENVINO = "requirements-openvino.txt"
NAMED_CPU = [
    "snakemake",
    "torch",
    "nvidia-dali-cuda120",
    "mpi4py",
    "openmpi",
    "numpy",
    "h5py",
    "requests",
    "pyyaml",
    "matplotlib",
]
NAMED_GPU = ["torch-tensorrt"]
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!]+)")


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_lines(path: Path) -> list[str]:
    """The requirements of a file without its comments, with those of the files that it includes in their place."""
    found = []
    for line in path.read_text().splitlines():
        line = re.sub(r"(^|\s+)#.*", "", line).strip()
        if line.startswith("-r "):
            found += requirement_lines(path.parent / line[3:].strip())
        elif line:
            found.append(line)
    return found


def conda_environment(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def conda_lines(path: Path) -> list[str]:
    pip_sections = [entry["pip"] for entry in conda_environment(path)["dependencies"] if isinstance(entry, dict)]
    assert len(pip_sections) == 1
    return pip_sections[0]


def lines(name: str) -> list[str]:
    path = ENVS / name
    return conda_lines(path) if path.suffix == ".yaml" else requirement_lines(path)


def pins(name: str) -> dict[str, str]:
    matches = [PIN.fullmatch(line) for line in lines(name)]
    return {normalized(match[1]): match[2] for match in matches if match}


@pytest.mark.parametrize("name", [*FILES, DEV, OPENVINO])
def test_every_line_is_an_exact_pin(name):
    assert [line for line in lines(name) if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("name", [*FILES, DEV, OPENVINO])
def test_no_package_is_pinned_twice(name):
    names = [normalized(line.split("==")[0]) for line in lines(name)]
    assert sorted(names) == sorted(set(names))


def test_what_only_the_checks_need_is_not_installed_for_users():
    assert not pins(DEV).keys() & pins("requirements-gpu.txt").keys()


def test_optional_packages_replace_no_version_of_another_file():
    others = pins("requirements-gpu.txt") | pins(DEV)
    optional = pins(OPENVINO)
    assert {name: others.get(name, version) for name, version in optional.items()} == optional


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_conda_environment_has_the_pins_of_the_requirements_file(kind):
    assert pins(f"{kind}.yaml") == pins(f"requirements-{kind}.txt")


def test_gpu_requirements_begin_with_the_cpu_requirements():
    assert (ENVS / "requirements-gpu.txt").read_text().startswith("-r requirements-cpu.txt\n")
    assert pins("requirements-cpu.txt").items() < pins("requirements-gpu.txt").items()


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_conda_environment_is_from_conda_forge_alone_with_python_and_pip(kind):
    environment = conda_environment(ENVS / f"{kind}.yaml")
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert [entry for entry in environment["dependencies"] if isinstance(entry, str)] == ["python=3.11", "pip"]


@pytest.mark.parametrize("name", FILES)
def test_the_named_packages_are_there(name):
    named = NAMED_CPU + (NAMED_GPU if "gpu" in name else [])
    assert [package for package in named if package not in pins(name)] == []


@pytest.mark.skipif(importlib.util.find_spec("snakemake") is None, reason="not the benchmark's environment")
@pytest.mark.parametrize("name", FILES)
def test_what_snakemakes_report_needs_is_installed_for_users(name):
    optional = [line for line in importlib.metadata.requires("snakemake") if line.endswith('extra == "reports"')]
    needed = {normalized(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in optional}
    assert needed == {"pygments"}
    assert needed <= pins(name).keys()


@pytest.mark.parametrize("name", [*FILES, DEV, OPENVINO, "bootstrap.sh"])
def test_no_file_names_a_host(name):
    assert "://" not in (ENVS / name).read_text()


@pytest.mark.skipif(importlib.util.find_spec("snakemake") is None, reason="not the benchmark's environment")
@pytest.mark.parametrize("name", ["requirements-cpu.txt", DEV])
def test_the_pins_are_what_is_installed(name):
    installed = {}
    for package in pins(name):
        try:
            installed[package] = importlib.metadata.version(package).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            installed[package] = "not installed"
    assert installed == pins(name)
