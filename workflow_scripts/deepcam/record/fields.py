"""Types of a record's fields."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

LARGEST = 10**14
"""No measured number is larger: 100 TB, or 3 million years. A sum over all ranks fits into 64 bits."""

NOT_RECORDED: Final = "not recorded"
"""What converted records of version 6 say in text fields that version 7 always fills."""

Level = Literal["error", "warning"]

Count = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Amount = Annotated[float, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Duration = Annotated[float, Field(ge=1e-9, le=1e9)]
"""Seconds, from a nanosecond to 30 years."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

Json = TypeAliasType("Json", "bool | Int64 | float | str | list[Json] | dict[str, Json] | None")
"""Any JSON value. Not pydantic's JsonValue, which lets NaN and integers of any length through."""
