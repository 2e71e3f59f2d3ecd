"""Mean, standard deviation and extremes of each channel over the whole dataset."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.report.figures import style
from deepcam.report.tables import Tables


def data(tables: Tables) -> pd.DataFrame:
    """A row per channel."""
    return tables.channels


def draw(shown: pd.DataFrame) -> Figure:
    """A bar per channel in standard deviations from its mean, so that channels of any unit can be compared."""
    scale = shown["standard_deviation"].where(shown["standard_deviation"] > 0)  # a constant channel has no range
    low, high = (shown["minimum"] - shown["mean"]) / scale, (shown["maximum"] - shown["mean"]) / scale
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(9, 1.2 + 0.3 * len(shown)), layout="constrained")
        axes = figure.subplots()
        colours = [style.COLOURS[1] if used else style.COLOURS[0] for used in shown["used"]]
        axes.barh(range(len(shown)), high - low, left=low, color=colours, height=0.6)
        axes.use_sticky_edges = False
        axes.margins(x=0.02)
        axes.axvline(0, color="black", linewidth=1)
        axes.set_yticks(
            range(len(shown)),
            labels=[f"{row.channel}: {row.mean:.3g} ± {row.standard_deviation:.2g}" for row in shown.itertuples()],
        )
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("minimum to maximum (standard deviations from the mean)")
        patches = [
            matplotlib.patches.Patch(color=style.COLOURS[i], label=name)
            for i, name in enumerate(("not used by the network", "used by the network"))
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=2)
    return figure
