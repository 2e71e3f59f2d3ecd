"""Inference engines: one graph from a raw batch to a mask, saved or compiled ahead of time, bound to its machine.

`build` writes an engine and its fingerprint, `load` checks and loads it. One module per backend, all with the same
four functions: `prepare` changes the network before export, `package` writes, `load` reads, `versions` names what
besides torch an engine depends on.
"""

from deepcam.model.engine.artefact import FINGERPRINT_FIELDS, build, load, reference
from deepcam.model.engine.runtime import Engine

__all__ = ["FINGERPRINT_FIELDS", "Engine", "build", "load", "reference"]
