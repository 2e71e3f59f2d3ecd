"""Parts that all measurements of speed share: the path of the code, options, turns and the description of a machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "tests")]

from deepcam.benchmark import environment  # noqa: E402 only now can it be found

Key = TypeVar("Key")
Value = TypeVar("Value")


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options that all measurements have."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=5, help="how often each way is measured")
    options.add_argument("--dir", type=Path, default=ROOT / "results/performance", help="folder on the disk to measure")
    return options


def in_turns(ways: Mapping[Key, Callable[[], Value]], repeats: int) -> dict[Key, list[Value]]:
    """The values of each way, which take turns `repeats` times, after one round that does not count."""
    values: dict[Key, list[Value]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        print(f"turn {turn} of {repeats}", file=sys.stderr)
        for name, way in ways.items():
            value = way()
            if turn:
                values[name].append(value)
    return values


def machine(place: Path) -> dict[str, Any]:
    """Description of this machine, of the storage under `place`, and of the software."""
    return environment.describe_node([place]) | environment.describe(1)


def headline(result: Mapping[str, Any]) -> str:
    """The machine of a result with `machine` and `load_before`, in one line."""
    machine = result["machine"]
    return (
        f"{machine['cpu']}, {machine['logical_cores']} cores, Linux {machine['kernel']}, "
        f"{machine['file_system'].get('type')}, commit {machine['git_commit']}, {machine['date'][:10]}; "
        f"load average before: {result['load_before']:.1f}"
    )
