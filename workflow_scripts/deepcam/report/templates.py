"""The templates of HTML pages, in share/report/."""

from __future__ import annotations

import jinja2

from deepcam.report import contents


def environment() -> jinja2.Environment:
    """Jinja's environment for these templates. Values are escaped, and an undefined name is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(contents.CAPTIONS), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return made
