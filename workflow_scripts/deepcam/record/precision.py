import math
import statistics

import numpy as np

from deepcam.record import metrics

T = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def start_median(record):
    return float(np.median(metrics.throughputs([record])))


def relative_half_width(m):
    if len(m) < 3:
        return None
    s = statistics.stdev(map(math.log, m))
    return math.sinh(T.get(len(m) - 1, 2.2) * s / math.sqrt(len(m)))


def reason_to_stop(m, precision, min_starts, max_starts):
    w = relative_half_width(m)
    if len(m) >= min_starts and w is not None and w <= precision:
        return "precise"
    if len(m) >= max_starts:
        return "max_starts"
    return None
