"""The names of all checks of a record, from the source of the modules that make them."""

import ast
from pathlib import Path

RECORD = Path(__file__).parents[1] / "workflow_scripts/deepcam/record"


def names():
    """The first argument of each call of `check`, or its `name`."""
    found = set()
    for path in RECORD.glob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            if getattr(call.func, "id", "") == "check":
                name = call.args[0] if call.args else next(k.value for k in call.keywords if k.arg == "name")
                if isinstance(name, ast.Constant):
                    found.add(name.value)
    assert len(found) > 10
    return found
