"""The error that bad input raises, and how a data model's complaints become its lines."""

from __future__ import annotations

import difflib
import functools
import re
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


_USER_AND_PASSWORD = re.compile(r"//.*@", re.S)

_NO_TEXT = re.compile(r"[-+]?\d+(\.\d*)?|true|false", re.I)

_LONGEST = 80
"""Characters of a value or key that are shown."""


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


def first_mistake(error: pydantic.ValidationError) -> str:
    """The first mistake in a file that a program wrote: its key as a dotted path, and what is wrong with it."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))


def _line(mistake: Mapping[str, Any], model: type[pydantic.BaseModel] | None, renamed: Mapping[str, str]) -> str:
    path = ".".join(map(_shortened, map(str, mistake["loc"]))) or "top level"
    match mistake["type"]:
        case "extra_forbidden" | "invalid_key" if path in renamed:
            return f"{path}: this key is now called {renamed[path]}"
        case "extra_forbidden" | "invalid_key":
            return f"{path}: unknown key{_advice(mistake['loc'], model)}"
        case "missing":
            return f"{path}: is missing"
    return f"{path}: {complaint(mistake)}"


def complaint(mistake: Mapping[str, Any]) -> str:
    """One of pydantic's errors in our words: the value that was given, and what is allowed.

    A user name and a password in an address are not repeated.
    """
    given = mistake["input"]
    match mistake["type"]:
        case "value_error":
            rule = str(mistake["ctx"]["error"])
        case "model_type":
            rule = "must be a block of keys"
        case _:
            rule = mistake["msg"]
            for theirs, ours in WORDING.items():
                rule = rule.replace(theirs, ours)
    return f"{_VALUES.repr(given)} is not allowed; it {rule}{_advice_on_text(given)}"


def _advice_on_text(given: object) -> str:
    """What to do about a number or a boolean that arrived as text."""
    if not any(isinstance(value, str) and _NO_TEXT.fullmatch(value) for value in _listed(given)):
        return ""
    return "; it is text, as all values inside blocks and lists of --config are: use --configfile, without quotes"


def _listed(given: object) -> Sequence[object]:
    return given if isinstance(given, list | tuple) else [given]


class _Values(reprlib.Repr):
    """Values in a line of text: shortened, and without the user name and the password of an address."""

    def repr1(self, x: object, level: int) -> str:
        if isinstance(x, str):
            return self.repr_str(_USER_AND_PASSWORD.sub("//...@", str(x)), level)
        try:
            return super().repr1(x, level)
        except ValueError:  # Python converts no integer of more than 4,300 digits to text
            return "a number of thousands of digits"


_VALUES = _Values()
_VALUES.maxstring = _VALUES.maxother = _LONGEST


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _advice(location: Sequence[int | str], model: type[pydantic.BaseModel] | None) -> str:
    """The keys that are allowed beside an unknown one, with the most similar of them first."""
    if model is None:
        return ""
    allowed = list(_keys(_schema(model), location[:-1]))
    similar = difflib.get_close_matches(_shortened(str(location[-1])), allowed, n=1)
    return "".join(f"; did you mean {key}?" for key in similar) + f"; allowed are {', '.join(allowed)}"


@functools.cache  # one takes 30 ms, and each unknown key asks for it
def _schema(model: type[pydantic.BaseModel]) -> Mapping[str, Any]:
    return model.model_json_schema()


def _keys(schema: Mapping[str, Any], path: Sequence[int | str]) -> Iterator[str]:
    """The keys of the block at `path` in a JSON schema. A field that may be null is looked through."""
    blocks = [schema]
    for part in path:
        blocks = [block["items"] if isinstance(part, int) else block["properties"][part] for block in blocks]
        blocks = [choice for block in blocks for choice in block.get("anyOf", [block]) if choice.get("type") != "null"]
        blocks = [schema["$defs"][block["$ref"].rpartition("/")[2]] if "$ref" in block else block for block in blocks]
    for block in blocks:
        yield from block["properties"]
