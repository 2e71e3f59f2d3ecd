# Outputs that are items of Snakemake's report. No rules here.


def table(name, label):
    """A table as an item of the report."""
    return report(
        paths.table(f"{name}.csv"),
        caption=f"../share/report/{name}.rst",
        category="Tables",
        labels={"table": label},
    )


def figure(name):
    """The files of a figure. Two of them are items of the report."""
    place = contents.FIGURES[name]

    def item(suffix, words=""):
        return report(
            paths.figure(name, suffix),
            caption=f"../share/report/{name}.rst",
            category=place.category,
            labels={"figure": place.label + words},
        )

    return {"svg": item("svg"), "csv": item("csv", ": its data"), "png": paths.figure(name, "png")}


def time_series():
    """The files of the throughput over time of each cell that has records. All but the PNG are items of the report."""

    def item(cell, suffix, words):
        return report(
            paths.time_series(cell, suffix),
            caption="../share/report/time_series.rst",
            category="Time series",
            labels={"configuration": cell, "content": words},
        )

    if not settings.report.time_series:
        return []
    cells = [cell for cell in CELLS if not REPORT_ONLY or paths.records_of(cell)]
    items = {"svg": "throughput over time", "csv": "its data", "histogram.csv": "batch intervals"}
    shown = [item(cell, suffix, words) for cell in cells for suffix, words in items.items()]
    return shown + [paths.time_series(cell, "png") for cell in cells]


def figures(suffixes=("svg", "png", "csv")):
    """The figures that the grid has data for."""
    return [
        paths.figure(name, suffix)
        for name in contents.figures(CELLS.values())
        if name != contents.PREDICTIONS or measured([paths.PREDICTIONS])
        for suffix in suffixes
    ]
