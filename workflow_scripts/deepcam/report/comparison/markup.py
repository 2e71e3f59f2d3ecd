"""The parts that the Markdown of all comparisons shares: tables, numbers, and text that records bring along."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from deepcam.report.comparison.differences import Difference
from deepcam.text import printable


def rows(*header: str, rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    cells = [list(header), ["-" * len(name) for name in header]]
    cells += [[text.replace("|", r"\|") for text in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in cells]


def differences(a: str, b: str, found: Sequence[Difference]) -> list[str]:
    """The lines that name what differs between the results `a` and `b`."""
    if not found:
        return ["No other recorded value differs."]
    return rows("key", a, b, rows=[[code(text) for text in (one.key, one.a, one.b)] for one in found])


def number(ratio: float | None) -> str:
    """A ratio with three decimals; - if it is unknown."""
    return "-" if ratio is None else f"{ratio:.3f}"


def interval(low: float | None, high: float | None) -> str:
    """The ends of the interval of a ratio; - if it is unknown."""
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def code(text: str) -> str:
    """A name or value as code if Markdown cannot mistake any of its characters, else as text."""
    return f"`{text}`" if text.isprintable() and not set(text) & set("`<>&") else escaped(text)


def escaped(text: str) -> str:
    """Text that a record brings along, in one line and without markup."""
    return re.sub(r"[\\`*\[\]]", r"\\\g<0>", html.escape(printable(text), quote=False))
