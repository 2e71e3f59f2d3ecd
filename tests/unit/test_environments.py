"""The files in envs/ have what pyproject.toml asks for, agree with each other, and are what is installed here.

No test asks a package index: what a new resolution would choose is not looked at.
"""

import dataclasses
import importlib.metadata
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import write_lock
import yaml
from deepcam.errors import InputError
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DIRECT = {"pyproject.toml": PROJECT["project"]["dependencies"]} | {
    f"pyproject.toml:{group}": requirements for group, requirements in PROJECT["dependency-groups"].items()
}
PINS = {pin.name: pin for pin in write_lock.read(ENVS)}
FILES = write_lock.contents(PINS.values())
HASHED = [name for name in FILES if name.startswith("requirements-")]
MAKE = "change pyproject.toml, then: make lock"


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(*files: str) -> dict[str, str]:
    return {pin.name: pin.version for file in files for pin in FILES[file]}


def conda(kind: str) -> list:
    return yaml.safe_load((ENVS / f"{kind}.yaml").read_text())["dependencies"]


@pytest.mark.parametrize("name", write_lock.HEADERS)
def test_each_file_is_what_the_list_of_all_pins_says(name):
    assert (ENVS / name).read_text() == write_lock.texts(PINS.values())[name], MAKE


def test_a_changed_file_would_be_noticed(tmp_path):
    for name, text in write_lock.texts(PINS.values()).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "requirements-cpu.txt").write_text(
        (ENVS / "requirements-cpu.txt").read_text().replace(f"numpy=={PINS['numpy'].version}", "numpy==1.0")
    )
    changed = write_lock.texts(write_lock.read(tmp_path))
    assert [name for name, text in changed.items() if text != (ENVS / name).read_text()] == [
        "requirements-cpu.txt", "cpu.yaml", "gpu.yaml",
    ]  # fmt: skip


@pytest.mark.parametrize(("origin", "line"), [(origin, line) for origin in DIRECT for line in DIRECT[origin]])
def test_each_direct_requirement_is_pinned_within_its_bounds(origin, line):
    requirement = Requirement(line)
    pin = PINS[normalized(requirement.name)]
    assert requirement.specifier.contains(pin.version) and origin in pin.via, MAKE


def test_nothing_is_pinned_that_is_not_required_any_more():
    direct = {(origin, normalized(Requirement(line).name)) for origin in DIRECT for line in DIRECT[origin]}
    pinned = {(origin, pin.name) for pin in PINS.values() for origin in pin.via if "pyproject" in origin}
    assert pinned == direct, MAKE
    assert {origin for pin in PINS.values() for origin in pin.via} - set(DIRECT) <= PINS.keys(), MAKE
    assert {pin.name for pins in FILES.values() for pin in pins} == PINS.keys(), MAKE


@pytest.mark.parametrize("name", HASHED)
def test_every_package_in_a_hashed_file_has_hashes(name):
    assert [pin.name for pin in FILES[name] if not pin.hashes] == []


def test_only_what_has_several_builds_has_no_hashes():
    assert set(versions("unhashed-cpu.txt")) == {"torch"}
    assert {re.sub("-cu.*", "", name) for name in versions("unhashed-gpu.txt")} == {"torch-tensorrt", "tensorrt"}


def test_the_environment_for_cpus_has_no_cuda_libraries_of_torch():
    cpu, gpu = (versions(f"requirements-{kind}.txt") for kind in ("cpu", "gpu"))
    assert not any(name.endswith("cu13") or name in ("triton", "cuda-toolkit") for name in cpu)
    assert {"triton", "cuda-toolkit", "nvidia-cudnn-cu13", "nvidia-cuda-cccl"} <= gpu.keys()


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_conda_environment_has_the_pins_of_the_requirements_files(kind):
    kinds = ["cpu"] if kind == "cpu" else ["cpu", "gpu"]
    expected = [
        pin.line for part in kinds for name in ("requirements", "unhashed") for pin in FILES[f"{name}-{part}.txt"]
    ]
    assert sorted(conda(kind)[-1]["pip"]) == sorted(expected)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_conda_environment_is_from_conda_forge_with_a_compiler_and_flock(kind):
    environment = yaml.safe_load((ENVS / f"{kind}.yaml").read_text())
    assert environment["name"] == f"deepcam-{kind}"
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert conda(kind)[:-1] == ["python=3.11", "pip", "cxx-compiler", "util-linux"]


def test_optional_packages_replace_no_version_of_another_file():
    others = versions(*(name for name in FILES if name != "requirements-openvino.txt"))
    optional = versions("requirements-openvino.txt")
    assert {name: others.get(name, version) for name, version in optional.items()} == optional


def test_what_only_the_checks_need_is_not_installed_for_users():
    users = versions("requirements-cpu.txt", "requirements-gpu.txt", "unhashed-cpu.txt", "unhashed-gpu.txt")
    assert not versions("requirements-dev.txt").keys() & users.keys()


@pytest.mark.parametrize("path", [*ENVS.iterdir()], ids=lambda path: path.name)
def test_no_file_names_a_host(path):
    assert "://" not in path.read_text()


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("", ""),
        ("sys_platform == 'linux' and platform_python_implementation != 'PyPy'", ""),
        ("python_full_version < '3.15' and sys_platform == 'linux'", ""),
        ("python_full_version < '3.14' and sys_platform == 'linux'", "python_version < '3.14'"),
        ("python_full_version == '3.13.*'", "python_version >= '3.13' and python_version < '3.14'"),
        ("platform_machine == 'aarch64' and sys_platform == 'linux'", "platform_machine == 'aarch64'"),
        ("python_version != '3.12'", "python_version != '3.12'"),
    ],
)
def test_markers_are_simplified_where_every_environment_agrees(marker, expected):
    assert write_lock.simplified(marker) == expected


def test_uv_is_asked_for_one_list_that_keeps_the_known_versions(monkeypatch):
    """uv is replaced by a function that says what it would: `make lock` needs an index."""
    calls = []

    def uv(*arguments):
        calls.append(arguments)
        output = Path(arguments[arguments.index("--output-file") + 1])
        if output.name == "requirements.txt":
            assert output.read_text() == "numpy==1.0\n"
            output.write_text("numpy==1.0 ; python_version < '3.14'  # via deepcam-benchmark (pyproject.toml), torch\n")
        else:
            files = [
                ("cp311-cp311-manylinux_2_28_x86_64", "b"),
                ("cp311-cp311-musllinux_1_2_x86_64", "c"),
                ("cp313-cp313t-manylinux_2_28_x86_64", "d"),
            ]
            wheels = ", ".join(
                f'{{url = "file:/numpy-1.0-{tag}.whl", hashes = {{sha256 = "{digest}"}}}}' for tag, digest in files
            )
            output.write_text(
                f'[[packages]]\nname = "numpy"\nsdist = {{hashes = {{sha256 = "a"}}}}\nwheels = [{wheels}]\n'
            )

    monkeypatch.setattr(write_lock, "_uv", uv)
    known = write_lock.Pin("numpy", "1.0", "", (), ())
    found = write_lock.resolve([known], ["--upgrade"])
    assert found == [
        dataclasses.replace(
            known, marker="python_version < '3.14'", via=("pyproject.toml", "torch"), hashes=("a", "b")
        )
    ]  # fmt: skip
    assert [("--upgrade" in call, call.count("--group")) for call in calls] == [(True, 3), (False, 0)]


def test_a_missing_uv_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="uv is not found; install it with make dev"):
        write_lock.resolve([])


@pytest.mark.skipif(importlib.util.find_spec("snakemake") is None, reason="not the benchmark's environment")
def test_what_snakemakes_report_needs_is_installed_for_users():
    optional = [line for line in importlib.metadata.requires("snakemake") if line.endswith('extra == "reports"')]
    needed = {normalized(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in optional}
    assert needed == {"pygments"}
    assert needed <= versions("requirements-cpu.txt").keys()


@pytest.mark.skipif(importlib.util.find_spec("snakemake") is None, reason="not the benchmark's environment")
@pytest.mark.parametrize("name", ["requirements-cpu.txt", "unhashed-cpu.txt", "requirements-dev.txt"])
def test_the_pins_are_what_is_installed(name):
    installed = {}
    expected = {pin.name: pin.version for pin in FILES[name] if not pin.marker or Marker(pin.marker).evaluate()}
    for package in expected:
        try:
            installed[package] = importlib.metadata.version(package).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            installed[package] = "not installed"
    assert installed == expected
