"""Is the engine of this process, at its batch size, the one that the accuracy check judged?"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping

import numpy as np

from deepcam.benchmark.delivery import Engine, load, mask_of
from deepcam.benchmark.devices import Device
from deepcam.benchmark.timed_loop import Workload
from deepcam.record.delivery_schema import MaskComparison


def compare(
    workload: Workload, made: Mapping[str, np.ndarray], rank: int, engine: Engine, device: Device
) -> MaskComparison | None:
    """Compare masks of this process with those that the accuracy check judged; None if it judged none.

    `made` maps files to masks (H, W) that this process has made. If none of these files was judged, one batch of judged
    samples is computed; ranks take different ones as far as possible.
    """
    judged = workload.judged_masks
    if not judged:
        return None
    common = {name: mask for name, mask in made.items() if os.path.basename(name) in judged}
    if not common:
        names = [str(path) for path in workload.files if path.name in judged]
        size = workload.cell.local_batch_size
        batch = list(itertools.islice(itertools.cycle(names), rank * size, (rank + 1) * size))
        common = dict(zip(batch, mask_of(engine, device.to_device(load(batch)), device), strict=True))
    return MaskComparison(
        samples=len(common),
        pixels=sum(mask.size for mask in common.values()),
        differing_pixels=sum(
            int(np.count_nonzero(judged[os.path.basename(name)] != mask)) for name, mask in common.items()
        ),
    )
