"""The names of all checks of a record, from the source of the modules that make them."""

import ast
from pathlib import Path

RECORD = Path(__file__).parents[1] / "workflow_scripts/deepcam/record"


def names():
    """The first argument of each call of `_check`, and the `name` of each `Check`."""
    found = set()
    for path in RECORD.glob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            if getattr(call.func, "id", "") == "_check":
                given["name"] = call.args[0]
            if getattr(call.func, "id", "") in ("_check", "Check") and isinstance(given["name"], ast.Constant):
                found.add(given["name"].value)
    assert len(found) > 10
    return found
