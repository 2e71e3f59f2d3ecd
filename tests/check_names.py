"""The names of all validity checks of a record, read from the source of the modules that make them."""

import ast
from pathlib import Path

RECORD = Path(__file__).parents[1] / "workflow_scripts/deepcam/record"


def check_names() -> set[str]:
    """The first argument of each call of `_check`, and the `name` of each `Check`, where it is a constant."""
    names = []
    for path in (RECORD / "validity.py", *RECORD.glob("*_checks.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            if isinstance(call.func, ast.Name) and call.func.id in ("_check", "Check"):
                names += [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
    return {name.value for name in names if isinstance(name, ast.Constant)}
