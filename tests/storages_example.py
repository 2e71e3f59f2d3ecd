"""Records of a grid on two named storages. With a cold page cache, one of them reads twice as fast as the other."""

import dataclasses

from deepcam.grid import Cell
from deepcam.report import tables
from deepcam.report.comparison import storages
from results_example import STEADY, scaled, started

FAST, SLOW = "nvme", "lustre"

COLD = [Cell("io", "pread", "cold", "none", 1, 2, threads, 1, SLOW) for threads in (1, 2)]
WARM = dataclasses.replace(COLD[0], cache="warm")
END_TO_END = dataclasses.replace(COLD[0], mode="inference", engine="eager-fp32")
COMPUTE = Cell("compute", "none", "none", "eager-fp32", 1, 2, 1, 1)


def on(place, cell):
    return dataclasses.replace(cell, storage=place)


def records():
    """Cold: 10 and 20 samples/s. Compute takes 15, so that it limits the fast storage only. Warm is 50 on both."""
    found = []
    for place, factor, rates in ((SLOW, 1, STEADY), (FAST, 2, STEADY[::-1])):
        for cell in COLD:
            found += started(on(place, cell), scaled(factor, rates))
        found += started(on(place, WARM), scaled(5, rates))
        found += started(on(place, END_TO_END), scaled(min(0.97 * factor, 1.46), rates))
    return found + started(COMPUTE, scaled(1.5))


def make():
    """The tables of these records."""
    found = records()
    compared = storages.table(storages.pairs(found))
    return tables.Tables(tables.summary(found), tables.accuracy([]), tables.channels([], []), compared)
