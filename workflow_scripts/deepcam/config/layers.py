"""Layers of a configuration, from the defaults to the command line, merged into one. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def merge(layers: Iterable[Mapping[Any, Any]]) -> dict[Any, Any]:
    """One mapping of all layers, block by block. Later layers win, and replace lists as a whole.

    Where a layer sets `benchmark.K`, no `benchmark.per_mode.M.K` of an earlier layer remains: whoever sets the ranks
    for all modes does not expect that one mode keeps its default. Where it sets `engines`, the same holds for the
    engines of a mode, which may not be built any more.
    """
    merged: dict[Any, Any] = {}
    for layer in layers:
        per_mode = _block(_block(merged, "benchmark"), "per_mode")
        stated = [*_block(layer, "benchmark"), *({"engines"} & layer.keys())]
        for mode in per_mode:
            for key in stated:
                _block(per_mode, mode).pop(key, None)
        _update(merged, layer)
    return merged


def _block(mapping: Mapping[Any, Any], key: Any) -> dict[Any, Any]:
    """The block under a key, or an empty one: what should be a block and is none is refused once all is merged."""
    found = mapping.get(key)
    return found if isinstance(found, dict) else {}


def _update(merged: dict[Any, Any], layer: Mapping[Any, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, dict):
            merged[key] = dict(_block(merged, key))
            _update(merged[key], value)
        else:
            merged[key] = value
