"""What the samples hold, channel by channel: mean, deviation and extremes over the whole dataset."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.report.figures import style
from deepcam.report.tables import Tables


def data(tables: Tables) -> pd.DataFrame:
    return tables.channels


def draw(shown: pd.DataFrame) -> Figure:
    """Extremes in standard deviations from the mean: channels of any unit side by side, and outliers at a glance."""
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
        axes.set_xlabel("from the minimum to the maximum, in standard deviations from the mean")
        patches = [
            matplotlib.patches.Patch(color=style.COLOURS[i], label=name)
            for i, name in enumerate(("not used by the network", "used by the network"))
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=2)
    return figure
