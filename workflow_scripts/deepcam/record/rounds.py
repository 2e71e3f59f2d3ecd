from pathlib import Path

from deepcam import paths
from deepcam.record.columns import Model


class Finished(Model):
    starts: int
    stopped: str


class Rounds(Model):
    schema_version: int
    configurations: dict[str, Finished]


def is_complete(path, cells):
    try:
        found = Rounds.model_validate_json(Path(path).read_bytes()).configurations
    except (OSError, ValueError):
        return False
    return all(c.id in found and len(paths.records_of(c.id)) >= found[c.id].starts for c in cells)
