"""Write the files that are generated from the data models: the JSON schemas, and the tables in config/README.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepcam import cli, files, paths
from deepcam.config import Config
from deepcam.errors import InputError
from deepcam.record.schema import Record
from deepcam.report.result_file import Result
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

ROOT = Path(__file__).parents[1]

SCHEMAS: dict[str, type[BaseModel]] = {
    "config/schemas/config.schema.json": Config,
    "config/schemas/record.schema.json": Record,
    "config/schemas/result.schema.json": Result,
}
"""Paths of JSON schemas, and the models that they describe."""

README = "config/README.md"

MARKER = "<!-- Everything below is generated from workflow_scripts/deepcam/config/keys.py by write_reference.py. -->\n"

BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "over",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}
"""Keywords of a JSON schema that limit a number, and what they mean."""


class Untitled(GenerateJsonSchema):
    """A schema without titles of fields, which would only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file is out of date")
    arguments = parser.parse_args()
    stale = [
        path for path, text in generated().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if arguments.check and stale:
        raise InputError(*(f"{path}: out of date; run workflow_scripts/write_reference.py" for path in stale))
    for path in stale:
        files.write_text(path, generated()[path])


def generated() -> dict[Path, str]:
    """The generated files, and the text that they should have. The introduction of the README is kept."""
    readme = ROOT / README
    introduction = readme.read_text(encoding="utf-8").partition(MARKER)[0]
    texts = {ROOT / path: json.dumps(schema(model), indent=2) + "\n" for path, model in SCHEMAS.items()}
    return texts | {readme: introduction + MARKER + tables() + result_table()}


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model."""
    return {"$schema": GenerateJsonSchema.schema_dialect} | model.model_json_schema(schema_generator=Untitled)


def tables() -> str:
    """A Markdown table for each block of the configuration, with a row for each key."""
    whole = schema(Config)
    defaults = Config().model_dump(mode="json")
    parts = []
    for name, field in whole["properties"].items():
        lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in _rows(name, field, defaults[name], whole)]
        meaning = [_resolved(field, whole)["description"], ""] if "$ref" in field else []
        parts.append("\n".join([f"\n## {name}\n", *meaning, *lines, ""]))
    return "".join(parts)


def result_table() -> str:
    """A Markdown table with a row for each field of results/result.json."""
    whole = schema(Result)
    lines = ["| field | type | meaning |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in _fields("", whole, whole)]
    return "\n".join(["\n## The fields of results/result.json\n", f"{whole['description']}\n", *lines, ""])


def _fields(prefix: str, block: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Rows for the fields of a block and for those below them: name, type, meaning."""
    for name, field in block["properties"].items():
        choices = [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]
        [kind] = choices
        inner = kind.get("items", kind)
        many = kind.get("type") == "array"
        words = ("list of blocks" if many else "block") if "$ref" in inner else _type(kind)
        yield f"`{prefix}{name}`", words + (" or null" if "anyOf" in field else ""), field["description"]
        if "$ref" in inner:
            yield from _fields(f"{prefix}{name}.{'N.' if many else ''}", _resolved(inner, whole), whole)


def _rows(key: str, field: Mapping[str, Any], default: Any, whole: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Rows for a key and for those below it: key, type, default, meaning. Overrides of a mode are a single row."""
    block = _resolved(field, whole)
    properties = block.get("properties", {})
    if properties and not key.startswith("benchmark.per_mode."):
        for name, inner in properties.items():
            yield from _rows(f"{key}.{name}", inner, default.get(name) if default else inner.get("default"), whole)
        return
    kind = f"keys {', '.join(f'`{name}`' for name in properties)}" if properties else _type(field)
    shown = "required" if default is None else f"`{json.dumps(default)}`"
    yield f"`{key}`", kind, shown, field.get("description", block.get("description", ""))
    if "$ref" in field.get("items", {}):
        yield from _rows(f"{key}.N", field["items"], None, whole)


def _type(field: Mapping[str, Any]) -> str:
    """The type of a key in words."""
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "$ref" in field:
        return "blocks"
    if field["type"] == "array":
        return "list of " + _type(field["items"]).replace("integer", "integers")
    if field["type"] == "object":
        [named] = field["patternProperties"].values()
        return f"block of names, each with a {_type(named)}"
    if field["type"] == "boolean":
        return "`true` or `false`"
    if field["type"] == "string":
        return "text"
    limits = (f"{words} {field[keyword]}" for keyword, words in BOUNDS.items() if keyword in field)
    return ", ".join([field["type"], *limits])


def _resolved(field: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    return whole["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field


if __name__ == "__main__":
    cli.run(main, log=paths.log("write_reference"))
