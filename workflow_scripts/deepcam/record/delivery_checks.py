"""Were the bytes of the files delivered, and are the masks those of the samples? Pure functions.

Records of version 6 do not say. They have none of these checks.
"""

from __future__ import annotations

from deepcam.grid import MODES, READERS
from deepcam.record.schema import Check, Measurement

MIN_MASK_AGREEMENT = 0.9999
"""Smallest share of equal pixels on a GPU. Its kernels may add in another order from one call to the next, so that a
pixel whose best two classes are nearly equal can change its class. On a CPU, equal batches give equal masks."""


def checks(record: Measurement) -> list[Check]:
    """The checks of what was delivered, of the masks, and of the engine file."""
    return [*_delivered_bytes(record), *_masks(record), *_engine_file(record)]


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
        Check(
            name="delivered_bytes",
            level="error",
            expected="the bytes of the files in every pass",
            actual=f"no proof for {missing} of {len(found)} passes"
            if missing
            else f"{wrong} of {sum(delivery.samples for delivery in known)} samples differ{first}",
            ok=not missing and not wrong,
        )
    ]


def _masks(record: Measurement) -> list[Check]:
    """The masks of the pass outside the clock are those of resident batches."""
    mode = MODES[record.cell.mode]
    if record.verification is None or not (mode.reads and mode.infers):
        return []
    on_cpu = all(rank.device == "cpu" for rank in record.environment.ranks)
    limit = 1.0 if on_cpu else MIN_MASK_AGREEMENT
    pairs = [rank.masks for rank in record.verification]
    shares = [1 - masks.differing_pixels / masks.pixels if masks and masks.pixels else 0.0 for masks in pairs]
    return [
        Check(
            name="masks",
            level="error",
            expected=f"the masks of resident batches on at least {limit:.2%} of the pixels of each rank",
            actual=f"{min(shares, default=0.0):.4%}",
            ok=min(shares, default=0.0) >= limit,
        )
    ]


def _engine_file(record: Measurement) -> list[Check]:
    """Each rank ran an engine file that the accuracy check has judged."""
    verdicts = record.engine.accuracy if record.engine else []
    judged = {verdict.engine_sha256 for verdict in verdicts}
    ran = {rank.engine_sha256 for rank in record.environment.ranks}
    if not verdicts or None in judged or None in ran:
        return []
    others = sorted(str(sha256)[:12] for sha256 in ran - judged)
    return [
        Check(
            name="engine_file",
            level="error",
            expected="the engine file that the accuracy check judged",
            actual=f"another one, SHA-256 {', '.join(others)}..." if others else "that file",
            ok=not others,
        )
    ]
