"""Checks of a configuration's file, before Snakemake reads it.

Snakemake takes much more than settings from such a file. It evaluates Python expressions (YTE), answers most mistakes
with a traceback, and does not notice a key that is stated twice.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml

from deepcam.errors import InputError

MAX_BYTES = 100_000
"""The size of the largest file. A complete configuration has 4,000 bytes."""

ACTED_ON = {"__use_yte__": "evaluates Python expressions in the file", "pathvars": "changes paths of the workflow"}
"""Keys that Snakemake acts on while it reads a file, and what it does."""


def load(path: Path) -> dict[Any, Any]:
    """The content of a configuration's file. Raises InputError unless it is one block of plain YAML or JSON."""
    text = _text(path)
    try:
        found = _load(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: cannot be used: {error.problem}") from None
    except RecursionError:
        raise InputError(f"{path}: has too many blocks inside each other; a configuration has at most four") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path}: cannot be used: {str(error).splitlines()[0]}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: has no keys; state at least one, such as data")
    for key, effect in ACTED_ON.items():
        if key in found:
            raise InputError(f"{path}: {key} is not allowed, since it {effect}; remove this key")
    return found


def _text(path: Path) -> str:
    try:
        if not path.is_file():  # a FIFO would be waited for
            raise InputError(f"{path}: there is no such file; see --configfile")
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"{path}: has more than {MAX_BYTES:,} bytes, so that it is no configuration")
        return content.decode()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error}); see --configfile") from None


def _load(text: str) -> object:
    """The content, read first as JSON and then as YAML, as Snakemake does it."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError:
        return yaml.load(text, _Loader)


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} is stated twice")
        found[key] = value
    return found


class _Loader(yaml.SafeLoader):
    """Reads plain YAML only: no tags, which make objects, and no aliases, which let a small file grow without end."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem=f"alias *{event.anchor} is not allowed", problem_mark=event.start_mark)
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem=f"tag {event.tag} is not allowed", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        stated: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is no word", problem_mark=key.start_mark)
            if key.value in stated:
                raise yaml.MarkedYAMLError(problem=f"key {key.value} is stated twice", problem_mark=key.start_mark)
            stated.add(key.value)
        return super().construct_mapping(node, deep)
