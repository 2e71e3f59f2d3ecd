"""The node's clock: what was busy, whatever its ticks and its rounding."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
from deepcam import machine


def times(user: float, idle: float, iowait: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(user=user, nice=0.0, system=1.0, idle=idle, iowait=iowait, irq=0.0, softirq=0.0, steal=0.0)


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        (times(10.0, 10.0), times(13.0, 11.0), 0.75),
        (times(10.0, 10.0), times(11.0, 10.0, iowait=3.0), 0.25),
        (times(10.0, 10.0), times(10.0, 10.0), 0.0),
        # As sums of rounded seconds come out: one more than all.
        (times(22783.51, 27431.07), times(22783.53, 27431.07), 1.0),
    ],
    ids=["busy", "waiting for storage", "no tick", "rounded"],
)
def test_the_busy_share_of_a_node(
    before: SimpleNamespace, after: SimpleNamespace, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter((before, after))
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(now))
    found = machine.cpu_meter()()
    assert found == pytest.approx(share)
    assert 0 <= found <= 1
