"""Inference engines: one graph from a raw batch to a mask, saved or compiled ahead of time for one machine.

`build` writes an engine and its fingerprint, `load` checks the fingerprint and loads the engine. Each backend is a
module with the same four functions: `prepare` changes the network before it is exported, `package` writes the engine
and may return further entries of the fingerprint, `load` reads it, and `versions` returns the versions, other than
torch's, that an engine depends on.
"""

from deepcam.model.engine.artefact import FINGERPRINT_FIELDS, build, load, reference
from deepcam.model.engine.runtime import LoadedEngine

__all__ = ["FINGERPRINT_FIELDS", "LoadedEngine", "build", "load", "reference"]
