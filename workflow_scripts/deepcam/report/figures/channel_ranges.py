"""Mean, standard deviation and extremes of each channel over the whole dataset."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.report.figures import style
from deepcam.report.page.words import digits, factor
from deepcam.report.tables import Tables
from deepcam.text import count

COLOURS = {True: style.IO, False: style.PALE}
"""Colours of channels that the network uses, and of others."""


def data(tables: Tables) -> pd.DataFrame:
    """A row per channel."""
    return tables.channels


def title(shown: pd.DataFrame) -> str:
    """Whether values are missing, and the value that is furthest from the mean of its channel."""
    low, high = _ranges(shown)
    furthest = pd.concat([-low, high], axis=1, keys=["below", "above"]).stack().dropna().sort_values(kind="stable")
    words = []
    broken = int((shown["nonfinite"].fillna(0) > 0).sum())
    if broken:
        words.append(f"{count(broken, 'channel')} {'has' if broken == 1 else 'have'} values that are not finite")
    if len(furthest):
        row, side = furthest.index[-1]
        channel = shown.loc[row, "channel"]
        words.append(f"Largest deviation: {channel}, {factor(furthest.iloc[-1])} standard deviations {side} its mean")
    return "; ".join(words) or "All channels are constant"


def _ranges(shown: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The extremes in standard deviations from the mean."""
    scale = shown["standard_deviation"].where(shown["standard_deviation"] > 0)  # a constant channel has no range
    return (shown["minimum"] - shown["mean"]) / scale, (shown["maximum"] - shown["mean"]) / scale


def draw(shown: pd.DataFrame) -> Figure:
    """A bar per channel in standard deviations from its mean, so that channels of any unit can be compared."""
    low, high = _ranges(shown)
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(9, 0.6 + 0.27 * len(shown)), layout="constrained")
        axes = figure.subplots()
        colours = [COLOURS[bool(used)] for used in shown["used"]]
        axes.barh(range(len(shown)), high - low, left=low, color=colours, height=0.7)
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_formatter("{x:g}")
        for y, (_, row) in enumerate(shown.iterrows()):
            words = f"mean {_value(row['mean'])}, standard deviation {_value(row['standard_deviation'])}"
            end = high.fillna(0).iloc[y]
            axes.annotate(words, (end, y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
        axes.axvline(0, color=style.END_TO_END, linewidth=1)
        axes.set_yticks(range(len(shown)), labels=list(shown["channel"]))
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(min(-2.0, 1.3 * low.min()), max(2.0, high.max()) * 30)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("standard deviations from the mean (linear up to 1, then logarithmic)")
        handles = [style.patch("used by the network", COLOURS[True]), style.patch("not used", COLOURS[False])]
        what = (
            "Each bar extends from the minimum to the maximum of a channel over the whole dataset. Means and standard "
            "deviations are in the channel's own unit."
        )
        style.finish(figure, title(shown), what, handles)
    return figure


def _value(value: float) -> str:
    """Three digits; with an exponent if the value is very small."""
    return digits(value) if value == 0 or abs(value) >= 0.01 else f"{value:.2e}"
