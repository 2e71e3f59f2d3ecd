"""Were the bytes of the files delivered, and are the masks those of the samples? Pure functions.

Records of version 6 do not say. They have none of these checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deepcam.grid import MODES, READERS
from deepcam.record.checking import WARNING, check
from deepcam.record.delivery_schema import MaskComparison
from deepcam.record.schema import Check, Measurement

MIN_MASK_AGREEMENT = 0.9999
"""Smallest share of equal pixels. Kernels may add in another order at another place of a batch, and those of a GPU
from one call to the next, so that a pixel whose best two classes are nearly equal can change its class."""

MIN_READ = 0.999
"""Smallest share of the samples' bytes that read calls return. The files also have headers."""

SPARE_PIXELS = 2
"""Pixels of a rank that may differ, however few were compared."""


def checks(record: Measurement) -> list[Check]:
    """The checks of what was delivered, of the masks, and of the engine file."""
    return [
        *_delivered_bytes(record),
        *_read_calls(record),
        *_masks(record),
        *_judged_masks(record),
        *_engine_file(record),
        *_engine_judged(record),
    ]


def _delivered_bytes(record: Measurement) -> list[Check]:
    """Every pass, in the clock or outside, delivered what the files hold."""
    found = [rank.delivery for run in record.runs for rank in run.ranks]
    found += [rank.delivery for rank in record.verification or []]
    if not any(found):
        return []
    known = [delivery for delivery in found if delivery]
    discards = record.cell.reader in READERS and READERS[record.cell.reader].discards
    unproved = [d for d in known if not d.samples or (d.proof == "read calls" and not discards)]
    wrong = sum(delivery.wrong_samples for delivery in known)
    first = next((f" (first: {delivery.first_wrong})" for delivery in known if delivery.first_wrong), "")
    missing = len(found) - len(known) + len(unproved)
    return [
        check(
            name="delivered_bytes",
            expected="the bytes of the files in every pass",
            actual=f"no proof for {missing} of {len(found)} passes"
            if missing
            else f"{wrong} of {sum(delivery.samples for delivery in known)} samples differ{first}",
            ok=not missing and not wrong,
        )
    ]


def _read_calls(record: Measurement) -> list[Check]:
    """Read calls returned all samples of each run while the clock was on: nothing was read before, or kept."""
    reader = READERS.get(record.cell.reader)
    returned = [rank.bytes_returned_by_reads for run in record.runs for rank in run.ranks]
    if reader is None or reader.discards or not reader.calls or None in returned:
        return []
    sample_bytes = record.dataset.bytes / len(record.dataset.samples)
    shares = [
        (rank.bytes_returned_by_reads or 0) / (rank.num_samples * sample_bytes)
        for run in record.runs
        for rank in run.ranks
    ]
    return [
        check(
            name="read_calls",
            expected=f"read calls returned at least {MIN_READ:.1%} of the samples' bytes in each run",
            actual=f"{min(shares):.1%}",
            ok=min(shares) >= MIN_READ,
        )
    ]


def _masks(record: Measurement) -> list[Check]:
    """The masks of the verified pass and of timed passes are those that the engine made of the same samples before."""
    mode = MODES[record.cell.mode]
    if record.verification is None or not mode.infers:
        return []
    found = [[rank.masks] for rank in record.verification]
    timed = [[run.ranks[i].masks for run in record.runs] for i in range(len(record.verification))]
    # Earlier releases kept no masks of timed passes in mode compute.
    if mode.reads or any(masks for of_rank in timed for masks in of_rank):
        found += timed
    pairs = [_pixels(masks) for masks in found]
    return [
        check(
            name="masks",
            expected=f"at least {MIN_MASK_AGREEMENT:.2%} of each rank's compared pixels equal to those of other masks "
            "of the same samples",
            actual=f"{_lowest_agreement(pairs):.4%}",
            ok=all(
                pixels and (differing <= SPARE_PIXELS or pixels - differing >= MIN_MASK_AGREEMENT * pixels)
                for differing, pixels in pairs
            ),
        )
    ]


def _judged_masks(record: Measurement) -> list[Check]:
    """The engine gave the masks that the accuracy check judged: in this process, and at this batch size."""
    if record.engine is None or record.verification is None or not record.has_judged_masks:
        return []
    agreement = _lowest_agreement([_pixels([rank.judged_masks]) for rank in record.verification])
    required = min(verdict.min_pixel_agreement for verdict in record.engine.accuracy)
    return [
        check(
            name="judged_masks",
            expected=f"at least {required:.1%} of each rank's compared pixels equal to those that the accuracy check "
            "judged",
            actual=f"{agreement:.3%}",
            ok=agreement >= required,
        )
    ]


def _lowest_agreement(pairs: Iterable[tuple[int, int]]) -> float:
    """The smallest share of equal pixels of any rank, from how many of its pixels differ and how many there are."""
    return min((1 - differing / pixels if pixels else 0.0 for differing, pixels in pairs), default=0.0)


def _pixels(found: Sequence[MaskComparison | None]) -> tuple[int, int]:
    """How many pixels differ in these comparisons, and how many there are."""
    known = [masks for masks in found if masks]
    return sum(masks.differing_pixels for masks in known), sum(masks.pixels for masks in known)


def _engine_file(record: Measurement) -> list[Check]:
    """Each rank ran an engine file that the accuracy check has judged."""
    verdicts = record.engine.accuracy if record.engine else []
    judged = {verdict.engine_sha256 for verdict in verdicts}
    ran = {rank.engine_sha256 for rank in record.environment.ranks}
    if not verdicts or None in judged or None in ran:
        return []
    others = sorted(str(sha256)[:12] for sha256 in ran - judged)
    return [
        check(
            name="engine_file",
            expected="the engine file that the accuracy check judged",
            actual=f"another one, SHA-256 {', '.join(others)}..." if others else "that file",
            ok=not others,
        )
    ]


def _engine_judged(record: Measurement) -> list[Check]:
    """Somebody has judged the accuracy of the engine."""
    if not MODES[record.cell.mode].infers or record.engine is None:
        return []
    return [
        check(
            name="engine_judged",
            level=WARNING,
            expected="a verdict on the engine's accuracy",
            actual="one" if record.engine.accuracy else "none",
            ok=bool(record.engine.accuracy),
        )
    ]
