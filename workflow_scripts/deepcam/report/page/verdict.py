"""The verdict in words: title, sentence and next step. Pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pandas as pd

from deepcam.record import metrics
from deepcam.report import selection
from deepcam.report.page.rows import Comparison, fastest, is_cold, of_mode, states
from deepcam.report.page.sizing import fastest_device, needed_per_device
from deepcam.report.page.words import digits, factor, joined, page_cache, percent
from deepcam.text import capitalized

TITLES = {
    "compute": "Compute-bound",
    "storage": "Storage-bound",
    "reader": "Reader-bound",
    "overlap-limited": "Overlap-limited",
    "balanced": "Balanced",
    "measurement-conflict": "No verdict",
}

COLOURS = {"compute": "compute", "storage": "io", "reader": "io", "balanced": "e2e"}
"""The colour of the limiting side; other verdicts have that of a warning."""

ADVISED_LEAD = 0.1
"""Smallest lead of the fastest engine over the slowest one that makes it an advice."""

GOOD_READER = 0.9
"""Share of the baseline from which on tuning the reader gains little."""

FASTER_STORAGE = "Faster storage will not help."
RESOLVE = "Resolve the causes under Problems"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The answer, and what to do next."""

    title: str
    sentence: str
    steps: list[tuple[str, str]]
    """Next steps: the state of the page cache, empty if the step holds for all, and the step."""
    colour: str = "warn"


def verdict(table: pd.DataFrame, found: Sequence[Comparison], on_gpus: bool) -> Verdict:
    """What limits inference, or why nothing says so. `found` are the comparisons, cold first."""
    if not found:
        return _without_comparison(table)
    cases = [comparison.case for comparison in found]
    colour = COLOURS.get(cases[0], "warn")
    steps = [(comparison.cache, _step(table, comparison, on_gpus)) for comparison in found]
    if len(set(cases)) > 1:
        titles = [
            f"{TITLES[case]} with {joined([f'a {_also(one)}' for one in found if one.case == case])}"
            for case in dict.fromkeys(cases)
        ]
        title = ", ".join([titles[0], *map(_small, titles[1:])])
        return Verdict(title, _one_by_one(found), steps, colour)
    title = TITLES[cases[0]] + (", measurements conflict" if cases[0] == "measurement-conflict" else "")
    if len({step for _, step in steps}) == 1 or set(cases) == {"compute"}:
        steps = [("", _step(table, min(found, key=lambda one: one.io["samples_per_second"]), on_gpus))]
    sentence = _one_by_one(found) if len(found) > 1 and not _alike(found) else _sentence(found)
    return Verdict(title, sentence, steps, colour)


def _also(comparison: Comparison) -> str:
    """The state of the page cache, in a sentence that has named the other one already if places have no names."""
    return "warm one" if comparison.cache == "warm" else page_cache(comparison.cache)


def _alike(found: Sequence[Comparison]) -> bool:
    """Whether one sentence can name the limit of all states, and the reader if that is the limit."""
    if found[0].case == "reader":
        return len({(one.io["reader"], one.baseline is None) for one in found}) == 1
    return len({one.lower_name for one in found}) == 1


def _one_by_one(found: Sequence[Comparison]) -> str:
    return " ".join(f"{one.cache.capitalize()}: {_small(_sentence([one], named=False))}" for one in found)


def _small(sentence: str) -> str:
    return sentence if sentence.startswith("I/O") else sentence[0].lower() + sentence[1:]


def _sentence(found: Sequence[Comparison], named: bool = True) -> str:
    """The sentence on one state of the page cache, or on both. With `named`, a single one names the state."""
    first = found[0]
    state = f" with a {page_cache(first.cache)}" if named and len(found) == 1 else ""
    match first.case:
        case "compute":
            return f"Compute is the bottleneck{state}. {_supply(found)}."
        case "storage":
            return (
                f"Storage is the bottleneck{state}. End-to-end runs at {_each(found, _overlap)} of I/O-only speed, and "
                f"compute could handle {_each(found, _headroom)} times that rate."
            )
        case "reader":
            return f"The reader, {first.io['reader']}, is the bottleneck{state}. {_reach(found)}"
        case "overlap-limited":
            return _in_state(
                f"Reading and inference slow each other down: end-to-end reaches only {_each(found, _overlap)} of "
                f"{first.lower_name}, the lower of its two limits, instead of {percent(0.9)} or more.",
                state,
            )
        case "balanced":
            return _in_state(
                "I/O-only and compute-only are equal within their intervals, and end-to-end runs close to both. "
                "Neither side has headroom.",
                state,
            )
    return _in_state(
        f"End-to-end throughput was {_each(found, _overlap)} of {first.lower_name}, its lower limit, so the machine’s "
        f"speed changed between the measurements. The two limits differ only by a factor of {_each(found, _distance)}, "
        "so it is uncertain which one is lower.",
        state,
    )


def _in_state(sentence: str, state: str) -> str:
    return f"{state.strip().capitalize()}, {_small(sentence)}" if state else sentence


def _each(found: Sequence[Comparison], words: Callable[[Comparison], str]) -> str:
    if len(found) == 1:
        return words(found[0])
    return joined([f"{words(comparison)} ({comparison.cache})" for comparison in found])


def _overlap(comparison: Comparison) -> str:
    return comparison.overlap


def _headroom(comparison: Comparison) -> str:
    return factor(comparison.end_to_end["headroom"])


def _distance(comparison: Comparison) -> str:
    return factor(comparison.upper["samples_per_second"] / comparison.lower["samples_per_second"])


def _supply(found: Sequence[Comparison]) -> str:
    """How much more reading delivers. Bytes of a warm page cache come from memory."""
    words = [
        f"{'storage' if is_cold(one.cache) else 'memory'} {_headroom(one)} times with a {_also(one)}"
        for one in found[1:]
    ]
    source = "Storage" if is_cold(found[0].cache) else "Memory"
    first = f"{source} can deliver {_headroom(found[0])} times the rate that inference uses"
    return f"{first} with a {page_cache(found[0].cache)}, and {joined(words)}" if words else first


def _reach(found: Sequence[Comparison]) -> str:
    if found[0].baseline_ratio is None:
        return f"Compute could handle {_each(found, _headroom)} times what it delivers."
    return (
        f"It delivers {_each(found, lambda one: percent(one.baseline_ratio or 0))} of the read-and-discard baseline "
        f"and its threads compute for {_each(found, _reader_utilisation)} of the time."
    )


def _reader_utilisation(comparison: Comparison) -> str:
    return percent(comparison.end_to_end["reader_cpu_utilisation"])


def _step(table: pd.DataFrame, comparison: Comparison, on_gpus: bool) -> str:
    match comparison.case:
        case "compute":
            devices = "use a lower precision or add GPUs" if on_gpus else "add cores or a GPU"
            step = f"{_faster_engine(table, comparison)}{devices}"
            return (
                f"{capitalized(step)}. Faster storage will not help until compute exceeds "
                f"{digits(comparison.io['samples_per_second'])} samples/s."
            )
        case "storage":
            return _storage_step(comparison)
        case "reader":
            if (comparison.baseline_ratio or 0) >= GOOD_READER:
                return f"Give the reader more cores or threads; no other reads this data much faster. {FASTER_STORAGE}"
            return f"Use a faster reader (see Readers), or give this one more cores. {FASTER_STORAGE}"
        case "overlap-limited":
            return (
                "Look for cores or memory bandwidth that both need: try fewer reader threads, more cores per rank, or "
                "more read-ahead."
            )
        case "balanced":
            return "Upgrade both sides together; one alone will not help."
    starts = max(3, 2 * min(row["num_starts"] for row in comparison.measured))
    return f"Measure again on a quiet machine, with benchmark.min_starts of {starts} or more."


def _storage_step(comparison: Comparison) -> str:
    compute, delivered = comparison.compute, comparison.io["gigabytes_per_second"]
    devices = int(compute["num_devices"])
    needed = metrics.gigabytes_per_second_needed(compute["samples_per_second"], compute["sample_bytes"], 1)
    who = "this device needs" if devices == 1 else f"these {devices:,} devices need"
    step = (
        f"Get faster storage, or move the data closer to the devices: for {percent(metrics.MIN_UTILISATION)} "
        f"accelerator utilisation (AU) {who} {digits(needed)} GB/s, and the reader delivers {digits(delivered)}."
    )
    share = comparison.baseline_ratio
    if share is None:
        return step
    reach = f"reaches {percent(share)} of the read-and-discard baseline."
    if share >= GOOD_READER:
        return f"{step} Tuning the reader gains little: it {reach}"
    return f"{step} First try a faster reader: this one {reach}"


def _faster_engine(table: pd.DataFrame, comparison: Comparison) -> str:
    """To use the fastest engine with these ranks and this batch size, if it is much faster than the slowest one."""
    compute = of_mode(table, "compute")
    equal = compute[
        compute["valid"]
        & (compute["ranks"] == comparison.compute["ranks"])
        & (compute["local_batch_size"] == comparison.compute["local_batch_size"])
    ]
    ranked = selection.by_speed(equal)
    best, slowest = ranked.iloc[0], ranked.iloc[-1]
    lead = best["samples_per_second"] / slowest["samples_per_second"] - 1
    if lead <= ADVISED_LEAD:
        return ""
    verb = "keep" if best["engine"] == comparison.compute["engine"] else "use"
    return f"{verb} {best['engine']} ({percent(lead)} faster than {slowest['engine']}), and "


def _without_comparison(table: pd.DataFrame) -> Verdict:
    """Why nothing says which side limits."""
    modes = set(table["mode"])
    if not table["valid"].any():
        sentence = f"All {len(table):,} configurations failed a check. Do not use their numbers."
        return Verdict("No valid result", sentence, _steps(f"{RESOLVE}, then run the same command again."))
    match sorted(modes - {"train"}):
        case ["io"] if of_mode(table, "io")["valid"].any():
            return _io_only(table)
        case ["compute"] if of_mode(table, "compute")["valid"].any():
            return _compute_only(table)
        case []:
            sentence = "Only training was measured, so nothing says which side limits inference."
            step = "Add io, compute and inference to benchmark.modes to get a verdict."
            return Verdict("Training only", sentence, _steps(step))
        case ["compute", "io"]:
            sentence = "End-to-end was not measured, so nothing says how close inference gets to its limits."
            return Verdict("No verdict", sentence, _steps("Add inference to benchmark.modes to get a verdict."))
    return Verdict(
        "No verdict",
        "No valid end-to-end configuration has valid I/O-only and compute-only runs with the same settings.",
        _steps(f"Give all three modes the same ranks, batch sizes and threads, or {_small(RESOLVE)}."),
    )


def _steps(step: str) -> list[tuple[str, str]]:
    return [("", step)]


def _io_only(table: pd.DataFrame) -> Verdict:
    io = of_mode(table, "io")
    readers = io[io["reader"] != selection.BASELINE]
    best = {cache: fastest(of_mode(readers if readers["valid"].any() else io, "io", cache)) for cache in states(io)}
    rates, reached = [], []
    for cache, row in best.items():
        if row is None:
            continue
        baseline = fastest(of_mode(io[io["reader"] == selection.BASELINE], "io", cache))
        rates.append(f"{digits(row['gigabytes_per_second'])} GB/s {cache}")
        share = ""
        if baseline is not None and row["reader"] != selection.BASELINE:
            ratio = row["gigabytes_per_second"] / baseline["gigabytes_per_second"]
            share = f" ({percent(ratio)} of the read-and-discard baseline)"
        reached.append(f"{row['reader']} {cache}{share}")
    sentence = f"Fastest: {joined(reached)}. Only reading was measured, so nothing says which side limits inference."
    step = "Add compute and inference to benchmark.modes to get a verdict."
    return Verdict(f"I/O only: {', '.join(rates)}", sentence, _steps(step), "io")


def _compute_only(table: pd.DataFrame) -> Verdict:
    best, device = fastest(of_mode(table, "compute")), fastest_device(table)
    assert best is not None and device is not None, "there is a valid compute-only row"
    sentence = (
        f"Fastest engine: {device['engine']}. Each such device needs {digits(needed_per_device(device))} GB/s of "
        f"storage to reach {percent(metrics.MIN_UTILISATION)} accelerator utilisation."
    )
    step = "Add io and inference to benchmark.modes to see whether storage delivers that."
    return Verdict(f"Compute only: {digits(best['samples_per_second'])} samples/s", sentence, _steps(step), "compute")
