"""The result of scale.py as the tables of tests/performance/README.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PHASES = {
    "interpreter": "interpreter",
    "imports": "imports",
    "MPI": "MPI",
    "reading": "waiting for a quiet machine, and reading",
    "record": "record",
    "end": "end",
}
"""Phases of a start, and their headings."""

TIMES = {
    "plan_seconds": "plan, s",
    "plan_cpu_seconds": "plan, CPU s",
    "job_seconds": "first job, s",
    "job_cpu_seconds": "first job, CPU s",
}
"""Times of a configuration, and their headings."""


def tables(result: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    made = [
        _records(result["records"]), _reading(result["reading"]), _aggregation(result["aggregation"]),
        _gathers(result["gathers"]), _starts(result["starts"]), _plans(result["plans"]),
    ]  # fmt: skip
    return "\n\n".join(made)


def _records(found: Iterable[Mapping[str, Any]]) -> str:
    steps = ("gather", "judge", "write", "read")
    header = ["ranks", "MB", "lines", "MB gathered", *(f"{step}, CPU s" for step in steps)]
    rows = [
        [
            f"{one['ranks']:,}", f"{one['bytes'] / 1e6:.2f}", f"{one['lines']:,}", f"{one['gathered_bytes'] / 1e6:.2f}",
            *(f"{one[step]:.2f}" for step in steps), _mib(one["make_peak_bytes"]), _mib(one["read_peak_bytes"]),
        ]
        for one in found
    ]  # fmt: skip
    return _table([*header, "peak MiB, write", "peak MiB, read"], rows)


def _reading(parts: Mapping[str, float]) -> str:
    return _table(["part of reading", "CPU s"], [[part, f"{seconds:.2f}"] for part, seconds in parts.items()])


def _aggregation(found: Iterable[Mapping[str, Any]]) -> str:
    header = ["configurations", "records", "CPU s", "CPU s per record", "peak MiB"]
    rows = [
        [
            f"{one['cells']}", f"{one['records']}", f"{one['cpu_seconds']:.0f}",
            f"{one['cpu_seconds'] / one['records']:.2f}", _mib(one["peak_bytes"]),
        ]
        for one in found
    ]  # fmt: skip
    return _table(header, rows)


def _gathers(found: Iterable[Mapping[str, Any]]) -> str:
    header = ["ranks", "a rank's JSON, ms", "gather over MPI, ms"]
    rows = [[f"{one['ranks']}", f"{one['pack'] * 1e3:.2g}", f"{one['gather'] * 1e3:.2g}"] for one in found]
    return _table(header, rows)


def _starts(found: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [f"{one['ranks']}", *(f"{one[phase]:.3g}" for phase in PHASES), f"{sum(one[phase] for phase in PHASES):.1f}"]
        for one in found
    ]
    return _table(["ranks", *PHASES.values(), "together"], rows)


def _plans(found: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [
            one["configuration"], one["cells"], one["samples"], one["jobs"],
            *(f"{one[key]:.1f}" if key in one else "-" for key in TIMES),
        ]
        for one in found
    ]  # fmt: skip
    return _table(["configuration", "configurations", "files", "jobs", *TIMES.values()], rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in [header, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def _mib(size: int) -> str:
    """Bytes in MiB."""
    return f"{size / 2**20:,.0f}"
