"""A block of configuration keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A block of keys. No other keys are allowed in it, and it cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
