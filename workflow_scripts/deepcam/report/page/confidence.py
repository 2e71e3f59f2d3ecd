"""Which side limits, and how precise the numbers are: two levels with their reasons, never mixed. Pure functions."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import pandas as pd

from deepcam.record import bottleneck
from deepcam.record.columns import Confidence
from deepcam.record.precision import MIN_STARTS
from deepcam.report.page.rows import Comparison, is_cold, of_mode
from deepcam.report.page.verdict import TITLES
from deepcam.report.page.words import digits, factor, joined, percent
from deepcam.text import capitalized, count

MOST_REASONS = 6

LEVELS = ("high", "medium", "low")

BUSY = "background_cpu_load_small"
"""The check that fails if the machine was busy, but not so busy that the result is invalid."""


@dataclasses.dataclass(frozen=True)
class Assessment:
    """A level and the reasons for it."""

    level: Confidence
    reasons: list[str]


def side(table: pd.DataFrame, found: Sequence[Comparison]) -> Assessment:
    """How sure it is which side limits: how far the limits are apart, and whether other configurations agree."""
    level = max((one.end_to_end["bottleneck_confidence"] for one in found), key=LEVELS.index)
    near = [
        one
        for one in found
        if one.case != "overlap-limited" and one.end_to_end["overlap_efficiency"] < bottleneck.OVERLAP_LIMITED_BELOW
    ]
    if len({one.lower_name for one in found}) == 1:
        found = [min(found, key=lambda one: one.end_to_end["limit_separation"])]
    reasons = [_separation(one, f" ({one.cache})" if len(found) > 1 else "") for one in found]
    reasons += [
        f"End-to-end is {percent(one.end_to_end['overlap_efficiency'])} of its lower limit ({one.cache}), but may "
        f"reach {percent(bottleneck.OVERLAP_LIMITED_BELOW)} within the intervals."
        for one in near
    ]
    supplies = [_least_supply(one) for one in found if one.case == "compute" and is_cold(one.cache)]
    reasons += [
        f"The verdict holds as long as storage delivers more than {supply} GB/s." for supply in dict.fromkeys(supplies)
    ]
    end_to_end = of_mode(table, "inference")
    verdicts = collections.Counter(end_to_end["bottleneck"].dropna())
    names = [f"{number:,} {_title(case)}" for case, number in verdicts.most_common()]
    all_of_them = f"all {names[0]}" if len(names) == 1 and verdicts.total() > 1 else ", ".join(names)
    reasons.append(
        f"The only end-to-end configuration is {names[0].removeprefix('1 ')}."
        if verdicts.total() == len(end_to_end) == 1
        else f"{verdicts.total():,} of {count(len(end_to_end), 'end-to-end configuration')} can be compared: "
        f"{all_of_them}."
    )
    return Assessment(level, reasons)


def _least_supply(comparison: Comparison) -> str:
    """The rate of reading at which it would be as slow as computing, GB/s."""
    compute = comparison.compute
    return digits(compute["samples_per_second"] * compute["sample_bytes"] / 1e9)


def _title(case: str) -> str:
    return "in conflict" if case == "measurement-conflict" else TITLES[case].lower()


def _separation(comparison: Comparison, where: str) -> str:
    apart = comparison.end_to_end["limit_separation"]
    upper = capitalized(comparison.upper_name)
    if apart < 1:
        return f"The intervals of I/O-only and compute-only overlap{where}."
    if min(comparison.io["num_starts"], comparison.compute["num_starts"]) == 1:
        return f"{upper} is {factor(apart)} times {comparison.lower_name}{where}."
    return (
        f"{upper} is at least {factor(apart)} times {comparison.lower_name}{where}, even at the unfavourable ends of "
        "both intervals."
    )


def precision(
    table: pd.DataFrame, found: Sequence[Comparison], target: float, cautions: Sequence[str], invalid: Sequence[str]
) -> Assessment:
    """How precise the numbers are.

    `target` is the relative half width at which measuring ends. `cautions` hold for the whole run. `invalid` is the
    sentence on invalid configurations; it is kept where the reasons are too many.
    """
    noise = max(one.noise for one in found)
    rows = [row for one in found for row in one.measured]
    starts = min(row["num_starts"] for row in rows)
    busy = any(BUSY in row["warnings"] for row in rows)
    few = starts < MIN_STARTS
    reasons = [
        f"Differences below {'at least ' if few else ''}{percent(noise)} between the compared measurements are noise.",
        *_drift(found),
        *(["The machine was busy: other processes used some of the job’s cores."] if busy else []),
        *([_few_starts(starts)] if few else []),
        *imprecise(table, target),
        *cautions,
    ]
    return Assessment(bottleneck.precision(noise, starts, busy), [*reasons[: MOST_REASONS - len(invalid)], *invalid])


def imprecise(table: pd.DataFrame, target: float) -> list[str]:
    """How many configurations were not measured to the precision that the run aimed for."""
    stopped = table["stopped"]
    early = int(((stopped != "") & (stopped != "precise")).sum())
    of_all = f"{early:,} of {count(len(table), 'configuration')}"
    return (
        [f"{of_all} {'was' if early == 1 else 'were'} not measured to the requested precision of ±{percent(target)}."]
        if early
        else []
    )


def invalid_results(table: pd.DataFrame) -> list[str]:
    """How many configurations do not count."""
    number = int((~table["valid"]).sum())
    if not number:
        return []
    return [
        f"{number:,} of {count(len(table), 'configuration')} {'is' if number == 1 else 'are'} INVALID and excluded."
    ]


def _drift(found: Sequence[Comparison]) -> list[str]:
    """What proves that the machine's speed changed, and that the verdict holds, unless it is that there is none."""
    limit = bottleneck.CONFLICT_ABOVE
    above = [
        f"{percent(one.end_to_end['overlap_efficiency'] - 1)} ({one.cache})"
        for one in found
        if one.end_to_end["overlap_efficiency"] > limit
    ]
    readers = [
        f"{one.io['reader']} reached {percent(one.baseline_ratio)} of the read-and-discard baseline ({one.cache})"
        for one in found
        if one.baseline_ratio is not None and one.baseline_ratio > limit
    ]
    facts = [f"End-to-end was {joined(above)} above its lower limit"] if above else []
    if not facts + readers:
        return []
    held = "" if any(one.case == "measurement-conflict" for one in found) else " The verdict holds."
    return [f"{'; '.join(facts + readers)}: the machine’s speed changed between runs.{held}"]


def _few_starts(starts: int) -> str:
    number = "one start" if starts == 1 else "two starts"
    return f"At least one of the compared configurations has only {number}, so the variation between starts is unknown."
