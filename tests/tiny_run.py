"""Small runs of the whole workflow in a folder of their own, for tests."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]


def arguments(folder, overlay, *targets):
    """Snakemake's arguments for the tiny configuration with this overlay."""
    folder.mkdir(exist_ok=True)
    (folder / "overlay.yaml").write_text(json.dumps(overlay))
    return [
        *targets, "--snakefile", ROOT / "Snakefile", "--directory", folder,
        "--configfile", ROOT / "config/tiny.yaml", folder / "overlay.yaml",
        "--workflow-profile", ROOT / "profiles/default", "--cores", "2",
    ]  # fmt: skip
