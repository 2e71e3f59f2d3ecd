"""Write the files in envs/ that pin every package, from the direct requirements in pyproject.toml.

uv resolves all groups of requirements together, for every version of Python and kind of machine that `[tool.uv]`
names. Pinned versions stay, unless a requirement forbids them, or an option of `uv pip compile` asks for new ones:

    python workflow_scripts/write_lock.py --upgrade
    python workflow_scripts/write_lock.py --upgrade-package numpy
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from deepcam import cli, paths
from deepcam.errors import InputError
from packaging.markers import Marker

ROOT = Path(__file__).parents[1]
ENVS = "envs"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
USERS = "pyproject.toml"
"""The origin of what every user needs. That of a group is `pyproject.toml:<group>`."""

CUDA = ("cuda-", "nvidia-", "triton")
"""Packages whose names begin like this are required by PyTorch's build for GPUs, but not by its build for CPUs."""

SEVERAL_BUILDS = ("torch", "tensorrt")
"""Packages whose names begin like this have several builds of each version, so no hash suits the users of all indexes.
"""

HEADERS = {
    "requirements-cpu.txt": """Every package that the benchmark needs on a machine without a GPU, except for PyTorch,
        which is in unhashed-cpu.txt.""",
    "requirements-gpu.txt": """What a machine with NVIDIA GPUs needs beside requirements-cpu.txt, except for PyTorch and
        TensorRT, which are in unhashed-gpu.txt. For a driver that runs CUDA 13; docs/gpu.md says why DALI's build for
        CUDA 12 is the right one there.""",
    "requirements-dev.txt": """What only `make test` needs, beside requirements-cpu.txt or requirements-gpu.txt.""",
    "requirements-openvino.txt": """The backend `openvino`, optional, beside requirements-cpu.txt. NNCF is needed only
        to build int8 engines.""",
    "unhashed-cpu.txt": """PyTorch. There are several builds of this version, so it has no hash, and pip installs it in
        a call of its own, after requirements-cpu.txt. The build on the public index brings several GB of CUDA
        libraries. PyTorch's own index of CPU builds has one without them: set PIP_EXTRA_INDEX_URL to it before
        installing.""",
    "unhashed-gpu.txt": """PyTorch and TensorRT. There are several builds of these versions, so they have no hash, and
        pip installs them in a call of their own, after requirements-gpu.txt. TensorRT's libraries are on NVIDIA's own
        index, given with PIP_EXTRA_INDEX_URL; the public index has placeholders only. PyTorch's index of CPU builds
        must not be set here, because its build would be preferred.""",
    "cpu.yaml": """The conda environment with the packages of requirements-cpu.txt and unhashed-cpu.txt. conda passes
        all of them to one call of pip, where either all have hashes or none has. It copies this file before pip reads
        it, so that the list is written out.""",
    "gpu.yaml": """The conda environment with the packages of requirements-gpu.txt and unhashed-gpu.txt, and the files
        that these include. As in cpu.yaml, there are no hashes, and the list is written out.""",
}
INCLUDES = {"requirements-gpu.txt": "requirements-cpu.txt", "unhashed-gpu.txt": "unhashed-cpu.txt"}
CONDA = """
name: deepcam-{kind}
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - cxx-compiler  # for the backend aotinductor
  - util-linux    # flock
  - pip:
"""


@dataclass(frozen=True)
class Pin:
    """One version of a package, and why it is there: `via` names what requires it."""

    name: str
    version: str
    marker: str
    via: tuple[str, ...]
    hashes: tuple[str, ...]

    @property
    def line(self) -> str:
        """The requirement without its hashes."""
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")

    @property
    def has_several_builds(self) -> bool:
        return self.name.startswith(SEVERAL_BUILDS)

    def lines(self) -> Iterator[str]:
        """The lines of the requirement in a requirements file."""
        hashes = () if self.has_several_builds else self.hashes
        yield " \\\n".join([self.line, *(f"    --hash=sha256:{digest}" for digest in hashes)])
        yield from _comment("via " + ", ".join(self.via), indent="    # ")


def main(arguments: list[str] | None = None) -> None:
    parser = cli.Parser(description=__doc__.partition("\n")[0])
    _, options = parser.parse_known_args(arguments)
    pins = resolve(read(ROOT / ENVS), options)
    for name, text in texts(pins).items():
        (ROOT / ENVS / name).write_text(text)


def resolve(known: Iterable[Pin], options: Iterable[str] = ()) -> list[Pin]:
    """Return what uv chooses for all groups, if possible in the known versions. Raise InputError if there is nothing.

    uv is called twice. The first call writes a list that says which package requires which. The second one writes a
    lock that says which hash belongs to which file.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [option for group in project["dependency-groups"] for option in ("--group", group)]
    with tempfile.TemporaryDirectory() as folder:
        annotated, lock = Path(folder) / "requirements.txt", Path(folder) / "pylock.toml"
        annotated.write_text("".join(f"{pin.line}\n" for pin in known))
        _uv("pyproject.toml", *groups, "--annotation-style", "line", "--output-file", str(annotated), *options)
        _uv(str(annotated), "--no-deps", "--format", "pylock.toml", "--output-file", str(lock))
        packages = {package["name"]: package for package in tomllib.loads(lock.read_text())["packages"]}
        found = list(_annotated(annotated.read_text(), project["project"]["name"], packages))
    twice = {pin.name for pin in found if sum(other.name == pin.name for other in found) > 1}
    if twice:
        raise InputError(f"{', '.join(sorted(twice))}: uv chose several versions; add a bound to pyproject.toml")
    return found


def _uv(*arguments: str) -> None:
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--fork-strategy", "fewest", "--no-header"]
    command += ["--python-version", PYTHONS[0], "--no-emit-index-url"]
    try:
        ended = subprocess.run([*command, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        raise InputError("uv is not found; install it with make dev") from None
    if ended.returncode != 0:
        raise InputError("uv found no versions that fit together (its message is above); change pyproject.toml")


def _annotated(text: str, project: str, packages: Mapping[str, Any]) -> Iterator[Pin]:
    """The pins of uv's list, whose lines have the form `name==version ; marker  # via a, b`."""
    for line in text.splitlines():
        pin, _, via = line.partition("# via ")
        requirement, _, marker = (part.strip() for part in pin.partition(";"))
        name, _, version = requirement.partition("==")
        origins = [re.sub(rf"^{project} \((.*)\)$", r"\1", origin) for origin in via.split(", ")]
        yield Pin(name, version, simplified(marker), tuple(origins), tuple(sorted(_hashes(packages[name]))))


def _hashes(package: Mapping[str, Any]) -> Iterator[str]:
    """The hashes of the files that CPython on Linux with glibc can use."""
    for wheel in package.get("wheels", []):
        name = wheel.get("name") or unquote(wheel["url"].rpartition("/")[2])
        if not re.search(r"musllinux|-pp3\d+-|-cp\d+t-", name):
            yield wheel["hashes"]["sha256"]
    if "sdist" in package:
        yield package["sdist"]["hashes"]["sha256"]


def simplified(marker: str) -> str:
    """What a marker says about the version of Python and the machine, as everything else is the same everywhere."""
    held = {(python, machine) for python in PYTHONS for machine in MACHINES if _holds(marker, python, machine)}
    pythons = [python for python in PYTHONS if any(python == one for one, _ in held)]
    machines = [machine for machine in MACHINES if any(machine == one for _, one in held)]
    first, end = PYTHONS.index(pythons[0]), PYTHONS.index(pythons[-1]) + 1
    if len(held) != len(pythons) * len(machines) or end - first != len(pythons):
        return marker
    parts = [f"python_version >= '{PYTHONS[first]}'"] if first > 0 else []
    parts += [f"python_version < '{PYTHONS[end]}'"] if end < len(PYTHONS) else []
    parts += [f"platform_machine == '{machines[0]}'"] if len(machines) == 1 else []
    return " and ".join(parts)


def _holds(marker: str, python: str, machine: str) -> bool:
    environment = {
        "python_version": python, "python_full_version": f"{python}.0", "platform_machine": machine,
        "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip
    return not marker or Marker(marker).evaluate(environment)


def contents(pins: Iterable[Pin]) -> dict[str, list[Pin]]:
    """The pins of each requirements file, without those of the file that it includes."""
    pins = sorted(pins, key=lambda pin: pin.name)
    cpu = _needed(pins, {USERS}, gpu=False)
    gpu = _needed(pins, {USERS, f"{USERS}:gpu"}) - cpu
    dev = _needed(pins, {f"{USERS}:dev"}) - cpu - gpu
    openvino = _needed(pins, {f"{USERS}:openvino"}) - cpu
    several = {pin.name for pin in pins if pin.has_several_builds}
    names = {
        "requirements-cpu.txt": cpu - several, "unhashed-cpu.txt": cpu & several,
        "requirements-gpu.txt": gpu - several, "unhashed-gpu.txt": gpu & several,
        "requirements-dev.txt": dev, "requirements-openvino.txt": openvino,
    }  # fmt: skip
    return {file: [pin for pin in pins if pin.name in chosen] for file, chosen in names.items()}


def _needed(pins: Iterable[Pin], origins: set[str], gpu: bool = True) -> set[str]:
    """The names of what the origins require, directly or not; without a GPU, torch requires no CUDA libraries."""
    found = set(origins)
    while True:
        more = {
            pin.name
            for pin in pins
            for origin in pin.via
            if origin in found and (gpu or origin != "torch" or not pin.name.startswith(CUDA))
        }
        if more <= found:
            return found - origins
        found |= more


def texts(pins: Iterable[Pin]) -> dict[str, str]:
    """The text of each file."""
    files = contents(pins)
    written = {}
    for file, listed in files.items():
        lines = [f"-r {INCLUDES[file]}\n"] if file in INCLUDES else []
        written[file] = "\n".join([_header(file), *lines, *(line for pin in listed for line in pin.lines()), ""])
    for kind in "cpu", "gpu":
        included = ["cpu"] if kind == "cpu" else ["cpu", "gpu"]
        listed = [
            pin for part in included for form in ("requirements", "unhashed") for pin in files[f"{form}-{part}.txt"]
        ]
        lines = [f"      - {pin.line}\n" for pin in sorted(listed, key=lambda pin: pin.name)]
        written[f"{kind}.yaml"] = _header(f"{kind}.yaml") + CONDA.format(kind=kind) + "".join(lines)
    return written


def _header(file: str) -> str:
    text = f"{' '.join(HEADERS[file].split())} `make lock` writes this file from pyproject.toml; do not edit it."
    return "\n".join(_comment(text, indent="# ")) + "\n"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 120, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def read(folder: Path) -> list[Pin]:
    """The pins of all requirements files in a folder."""
    found = {}
    for path in (folder / file for file in HEADERS if file.endswith(".txt")):
        for block in re.findall(r"^\w.*(?:\n .*)*", path.read_text() if path.exists() else "", re.M):
            requirement, _, comment = block.replace("\\\n", " ").partition("# via ")
            line, *hashes = requirement.split("--hash=sha256:")
            pin, _, marker = (part.strip() for part in line.partition(";"))
            name, _, version = pin.partition("==")
            via = re.sub(r"\n *#", "", comment).strip().split(", ")
            found[name] = Pin(name, version, marker, tuple(via), tuple(digest.strip() for digest in hashes))
    return list(found.values())


if __name__ == "__main__":
    cli.run(main, log=paths.log("write_lock"))
