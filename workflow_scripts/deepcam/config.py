"""The configuration: checked against its schema, with defaults filled in, before any job exists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
from jsonschema import Draft202012Validator, validators

from deepcam.errors import InputError


def _properties_with_defaults(
    validator: Any, properties: Mapping[str, Any], instance: Any, schema: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    # jsonschema's own recipe: a default is set just before the property is checked.
    if isinstance(instance, dict):
        for name, subschema in properties.items():
            if "default" in subschema:
                instance.setdefault(name, subschema["default"])
    yield from Draft202012Validator.VALIDATORS["properties"](validator, properties, instance, schema)


_Validator = validators.extend(Draft202012Validator, {"properties": _properties_with_defaults})


def validate(config: dict[str, Any], schema_path: Path | str) -> None:
    """Check `config` in place and fill in defaults. InputError: one line with the key and what is allowed there."""
    schema = json.loads(Path(schema_path).read_text())
    error = jsonschema.exceptions.best_match(_Validator(schema).iter_errors(config))
    if error is not None:
        raise InputError(explain(error))


def explain(error: jsonschema.ValidationError) -> str:
    """One line for a schema violation: where, what is there, what is allowed."""
    where = ".".join(str(part) for part in error.absolute_path) or "top level"
    match error.validator:
        case "additionalProperties":
            unknown = sorted(set(error.instance) - set(error.schema["properties"]))
            allowed = ", ".join(error.schema["properties"])
            return f"{where}: unknown key {', '.join(unknown)}; allowed are {allowed}"
        case "enum":
            allowed = ", ".join(str(value) for value in error.validator_value)
            return f"{where}: {error.instance!r} is not allowed; allowed are {allowed}"
        case "minItems":
            return f"{where}: is empty; give at least {error.validator_value} value"
        case "maximum" if "description" in error.schema:
            return f"{where}: {error.message}; {error.schema['description']}"
        case "type":
            return f"{where}: {error.instance!r} is not of type {error.validator_value}"
        case "oneOf" | "anyOf" | "pattern":
            hint = error.schema.get("description", f"{error.validator_value}")
            return f"{where}: {error.instance!r} is not allowed; {hint}"
    return f"{where}: {error.message.splitlines()[0]}"
