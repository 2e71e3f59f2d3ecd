"""The types of the values in the configuration, with the bounds of each. Command lines use the same types."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field

from deepcam import climate, paths
from deepcam.errors import complaint
from deepcam.grid import MODES, NAME, READERS, current_reader

LARGEST = 1_000_000
"""The largest count. It is more than any run needs, and small enough that every larger number is a mistake."""

LONGEST_PATH = 1000
"""Characters of a path."""

SOURCE = r"synthetic|nersc|/.*|https?://[^\s@?#{}]+"

Item = TypeVar("Item")


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    if not values:
        raise ValueError("must have at least one value")
    if len(set(values)) < len(values):
        raise ValueError("must have each value only once")
    return values


def _mode(name: str) -> str:
    return _known(name, MODES)


def _reader(name: str) -> str:
    return _known(current_reader(name), READERS)


def _known(name: str, known: Mapping[str, object]) -> str:
    if name not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return name


def _source(source: str) -> str:
    if paths.is_local(source):
        return _path(source)
    if "@" in source:
        raise ValueError("must not have a user name or a password; write them into ~/.netrc (an @ in a path is %40)")
    if not (source.isprintable() and re.fullmatch(SOURCE, source)):
        raise ValueError(
            "must be synthetic, nersc, a path from / on, or an http(s) address under which <split>/files.txt lies"
        )
    return source


def _path(path: str) -> str:
    if problem := paths.problem(path):
        raise ValueError(f"must not {problem}")
    return paths.plain(path)


def _folders(given: object) -> object:
    """A folder, or the folders of several places by their names."""
    if not isinstance(given, Mapping):
        return _folder(given)
    for name in given:
        if not (isinstance(name, str) and re.fullmatch(NAME, name)):
            raise ValueError("must name each place with up to 64 lower-case letters, digits, dots, dashes and _")
    if len(given) < 2:
        raise ValueError("must have at least two named places; for a single one, give the folder without a name")
    found = {name: _folder(folder) for name, folder in given.items()}
    for (one, a), (other, b) in itertools.permutations(found.items(), 2):
        if paths.is_inside(os.path.realpath(a), os.path.realpath(b)):
            raise ValueError(f"must have separate folders, but that of {one} is that of {other}, or lies in it")
    return found


def _folder(given: object) -> str:
    if not (isinstance(given, str) and 1 <= len(given) <= LONGEST_PATH):
        raise ValueError(f"must be a path of 1 to {LONGEST_PATH:,} characters, or a block of names and paths")
    return _path(given)


def _launcher(command: str) -> str:
    if "{ranks}" not in command:
        raise ValueError("must hold {ranks}, which becomes the number of processes")
    rest = command.replace("{ranks_per_node}", "").replace("{ranks}", "")
    if not command.isprintable() or set(rest) & set("$`;|&<>(){}#"):
        raise ValueError("must be a program and its options, without variables and other syntax of a shell")
    try:
        shlex.split(command)
    except ValueError:
        raise ValueError("must close each quotation mark") from None
    return command


def _num_files(given: object) -> object:
    if given == "all" or (type(given) is int and 1 <= given <= LARGEST):
        return given
    raise ValueError(f"must be a number of samples, 1 to {LARGEST:,}, or all")


def _devices(given: object) -> object:
    if given in ("auto", "cpu"):
        return given
    if isinstance(given, list | tuple) and given and all(type(index) is int and 0 <= index < 1000 for index in given):
        return _distinct(tuple(given))
    raise ValueError("must be auto, cpu, or a list of GPU indices")


Flag = Annotated[bool, Field(strict=True)]
Natural = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
Positive = Annotated[int, Field(strict=True, ge=1, le=LARGEST)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Length = Annotated[int, Field(strict=True, ge=32, le=2**15, multiple_of=16)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Seconds = Annotated[Number, Field(ge=0, le=LARGEST)]
Fraction = Annotated[Number, Field(gt=0, le=1)]
Share = Annotated[Number, Field(ge=0, le=1)]
Text = Annotated[str, Field(strict=True)]
Name = Annotated[Text, Field(pattern=r"^[\w.,:@+-]*$", max_length=255)]
DeviceName = Annotated[Text, Field(pattern=r"^(cpu|cuda:\d{1,3})$")]
Path = Annotated[Text, Field(min_length=1, max_length=LONGEST_PATH), AfterValidator(_path)]
PlaceName = Annotated[Text, Field(pattern=NAME)]
Folders = Annotated[
    str | dict[str, str],
    BeforeValidator(
        _folders,
        json_schema_input_type=Path | Annotated[dict[PlaceName, Path], Field(min_length=2)],
    ),
]
Source = Annotated[
    Text, Field(max_length=LONGEST_PATH, json_schema_extra={"pattern": f"^({SOURCE})$"}), AfterValidator(_source)
]
Launcher = Annotated[
    Text, Field(max_length=1000, json_schema_extra={"pattern": r"\{ranks\}"}), AfterValidator(_launcher)
]
Values = Annotated[
    tuple[Item, ...], AfterValidator(_distinct), Field(json_schema_extra={"minItems": 1, "uniqueItems": True})
]

Mode = Annotated[Text, AfterValidator(_mode), Field(json_schema_extra={"enum": list(MODES)})]
Reader = Annotated[Text, AfterValidator(_reader), Field(json_schema_extra={"enum": list(READERS)})]
Cache = Literal["cold", "warm"]
Ranks = Annotated[int, Field(strict=True, ge=1, le=9999)]
BatchSize = Annotated[int, Field(strict=True, ge=1, le=999)]
Threads = Annotated[int, Field(strict=True, ge=1, le=99)]
Channel = Annotated[int, Field(strict=True, ge=0, lt=len(climate.CHANNELS))]
Backend = Literal["auto", "eager", "aotinductor", "tensorrt", "openvino"]
Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16", "int8"]
HeaderBytes = Literal[128, 4096]
NumFiles = Annotated[int | str, BeforeValidator(_num_files, json_schema_input_type=Positive | Literal["all"])]
Devices = Annotated[
    str | tuple[int, ...],
    BeforeValidator(_devices, json_schema_input_type=Literal["auto", "cpu"] | Values[Natural]),
]


def argument(kind: Any, read: Callable[[str], object] = int) -> Callable[[str], Any]:
    """A `type` for argparse, for values of one of the types above. `read` makes the value from its text."""
    adapter = pydantic.TypeAdapter(kind)

    def parse(text: str) -> Any:
        try:
            value = read(text)
        except ValueError:
            value = text  # the type says what it must be
        try:
            return adapter.validate_python(value)
        except pydantic.ValidationError as error:
            raise argparse.ArgumentTypeError(complaint(error.errors(include_url=False)[0])) from None

    return parse
