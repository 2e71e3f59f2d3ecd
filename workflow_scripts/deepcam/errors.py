"""The error that bad input raises, and how a data model's complaints become its lines."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepcam.text import printable

if TYPE_CHECKING:
    import pydantic

WORDING = {
    "Input should be": "must be",
    "String should": "must",
    "a valid tuple": "a list",
    "a valid dictionary": "a block of keys",
    "a valid": "a",
    "a integer": "an integer",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}
"""Phrases of pydantic's messages, and what they become in ours."""


class InputError(Exception):
    """Bad input. Each line says what is wrong, where it is, and what to do.

    A name that the input brings into a line can neither break it nor control the terminal.
    """

    def __init__(self, *lines: str) -> None:
        self.lines = tuple(map(printable, lines))
        super().__init__(*self.lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)


def explain(
    error: pydantic.ValidationError,
    model: type[pydantic.BaseModel] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> list[str]:
    """One line per mistake, with the key as a dotted path, the value that was given, and what is allowed.

    With the `model` that was validated, an unknown key is answered with the allowed ones. `renamed` maps the dotted
    path of a key of an earlier version to its successor.
    """
    return [_line(mistake, model, renamed or {}) for mistake in error.errors(include_url=False)]


def _line(mistake: Mapping[str, Any], model: type[pydantic.BaseModel] | None, renamed: Mapping[str, str]) -> str:
    path = ".".join(map(str, mistake["loc"])) or "top level"
    match mistake["type"]:
        case "extra_forbidden" | "invalid_key" if path in renamed:
            return f"{path}: this key is now called {renamed[path]}"
        case "extra_forbidden" | "invalid_key":
            return f"{path}: unknown key{_advice(mistake['loc'], model)}"
        case "missing":
            return f"{path}: is missing"
        case "value_error":
            rule = str(mistake["ctx"]["error"])
        case "model_type":
            rule = "must be a block of keys"
        case _:
            rule = mistake["msg"]
            for theirs, ours in WORDING.items():
                rule = rule.replace(theirs, ours)
    return f"{path}: {reprlib.repr(mistake['input'])} is not allowed; it {rule}"


def _advice(location: Sequence[int | str], model: type[pydantic.BaseModel] | None) -> str:
    """The keys that are allowed beside an unknown one, with the most similar of them first."""
    if model is None:
        return ""
    allowed = list(_keys(model.model_json_schema(), location[:-1]))
    similar = difflib.get_close_matches(str(location[-1]), allowed, n=1)
    return "".join(f"; did you mean {key}?" for key in similar) + f"; allowed are {', '.join(allowed)}"


def _keys(schema: Mapping[str, Any], path: Sequence[int | str]) -> Iterator[str]:
    """The keys of the block at `path` in a JSON schema. A field that may be null is looked through."""
    blocks = [schema]
    for part in path:
        blocks = [block["items"] if isinstance(part, int) else block["properties"][part] for block in blocks]
        blocks = [choice for block in blocks for choice in block.get("anyOf", [block]) if choice.get("type") != "null"]
        blocks = [schema["$defs"][block["$ref"].rpartition("/")[2]] if "$ref" in block else block for block in blocks]
    for block in blocks:
        yield from block["properties"]
