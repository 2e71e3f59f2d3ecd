"""How much storage a number of devices needs, and what delivers it. Pure functions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pandas as pd

from deepcam.record import metrics
from deepcam.report import selection
from deepcam.report.page.rows import fastest, is_cold, of_mode, states
from deepcam.report.page.words import digits, percent, settings, span

DEVICES = (1, 8, 64, 1024)

LINE_RATE = 0.9
"""Share of a network's line rate that data can use."""

NETWORKS = [(1, "1 GbE"), (10, "10 GbE"), (25, "25 GbE"), (100, "100 Gb/s"), (200, "200 Gb/s"), (400, "400 Gb/s")]
"""Line rates in Gb/s."""

MEDIA = [(0.5, "SATA SSD"), (3.0, "PCIe 3.0 NVMe"), (6.3, "PCIe 4.0 NVMe"), (12.0, "PCIe 5.0 NVMe")]
"""What drives sustain in GB/s. NVMe drives have four lanes."""


@dataclasses.dataclass(frozen=True)
class Need:
    """What a number of devices needs."""

    devices: str
    gigabytes: str
    interval: str
    network: str
    media: str


@dataclasses.dataclass(frozen=True)
class Supply:
    """How many devices a storage feeds."""

    value: str
    unit: str
    range: str
    sentence: str
    delivered: str
    reader: str
    num_devices: int
    """Number of devices in the measurement."""
    fed: float
    """Number of devices that it feeds, not rounded."""
    place: str
    """Name of the storage; empty if the only one has no name."""


@dataclasses.dataclass(frozen=True)
class Sizing:
    """Storage bandwidth for devices like the fastest measured one."""

    engine: str
    settings: str
    rate: str
    need: str
    needs: list[Need]
    supplies: list[Supply]
    """A supply for each place that was read with a cold page cache."""
    gigabytes_per_second: float
    """`need`, not rounded."""


def fastest_device(table: pd.DataFrame) -> pd.Series | None:
    """The valid compute-only row with the highest throughput per device; None without one."""
    compute = of_mode(table, "compute")
    compute = selection.by_speed(compute[compute["valid"]])
    if compute.empty:
        return None
    return compute.loc[(compute["samples_per_second"] / compute["num_devices"]).idxmax()]


def needed_per_device(row: pd.Series, column: str = "samples_per_second") -> float:
    """GB/s that a device like this row's needs; `column` is its throughput or an end of its interval."""
    return metrics.gigabytes_per_second_needed(row[column] / row["num_devices"], row["sample_bytes"], 1)


def sizing(table: pd.DataFrame) -> Sizing | None:
    """Storage for DEVICES; None without a valid compute-only result."""
    best = fastest_device(table)
    if best is None:
        return None
    low, need, high = (needed_per_device(best, column) for column in ("low", "samples_per_second", "high"))
    return Sizing(
        engine=best["engine"],
        settings=settings(best, reader=False),
        rate=digits(best["samples_per_second"] / best["num_devices"]),
        need=digits(need),
        needs=[
            Need(
                devices=f"{number:,}",
                gigabytes=digits(need * number),
                interval=span(digits(low * number), digits(high * number)),
                network=_smallest(high * number, [(rate / 8 * LINE_RATE, name) for rate, name in NETWORKS]),
                media=_smallest(high * number, MEDIA),
            )
            for number in DEVICES
        ],
        supplies=[_supply(row, low, need, high) for row in _fastest_cold(table)],
        gigabytes_per_second=need,
    )


def _fastest_cold(table: pd.DataFrame) -> list[pd.Series]:
    """The fastest valid I/O-only row of each place with a cold page cache."""
    readers = table[table["reader"] != selection.BASELINE]
    found = (fastest(of_mode(readers, "io", state)) for state in filter(is_cold, states(readers)))
    return [row for row in found if row is not None]


def _supply(row: pd.Series, low: float, need: float, high: float) -> Supply:
    scale = row["sample_bytes"] / 1e9
    fed = row["gigabytes_per_second"] / need
    ends = row["low"] * scale / high, row["high"] * scale / low
    if fed >= 2:
        number = f"{int(fed):,}"
        words = number, "devices", span(*(digits(end, 2) for end in ends)), f"about {number} such devices"
    else:
        share = percent(fed)
        words = (
            share,
            "of a device",
            span(f"{100 * ends[0]:.0f}", percent(ends[1])),
            f"{share} of what one such device needs",
        )
    return Supply(
        *words,
        delivered=digits(row["gigabytes_per_second"]),
        reader=row["reader"],
        num_devices=int(row["num_devices"]),
        fed=fed,
        place=row["storage"],
    )


def _smallest(gigabytes: float, classes: Sequence[tuple[float, str]]) -> str:
    """The smallest class that carries so many GB/s, or several of the largest one."""
    for limit, name in classes:
        if gigabytes <= limit:
            return name
    limit, name = classes[-1]
    return f"{math.ceil(gigabytes / limit):,} × {name}"
