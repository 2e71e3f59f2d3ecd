"""The results page: one HTML file that refers to no other file, and says what was found. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from deepcam.record.schema import Record
from deepcam.report import templates
from deepcam.report.page import confidence, provenance, results, rows, words
from deepcam.report.page.picture import picture
from deepcam.report.page.problems import problems
from deepcam.report.page.sizing import sizing
from deepcam.report.page.verdict import verdict
from deepcam.report.tables import Tables


def render(tables: Tables, records: Sequence[Record], missing: int, target: float) -> str:
    """The page's HTML.

    `missing` is the number of missing records, and `target` the relative half width of an interval at which measuring
    ends (benchmark.precision).
    """
    table = rows.prepare(tables.summary)
    origin = provenance.provenance(records)
    found = rows.comparisons(table)
    cautions = provenance.cautions(table, records)
    invalid = confidence.invalid_results(table)
    sized = sizing(table)
    caches, readers = results.readers(table)
    columns, has_energy, engines = results.engines(table, tables.accuracy, provenance.shortest_runs(records))
    environment = templates.environment()
    environment.filters["percent"] = words.percent
    return environment.get_template("summary.html.j2").render(
        origin=origin,
        verdict=verdict(table, found, origin.on_gpus),
        side=confidence.side(table, found) if found else None,
        precision=confidence.precision(table, found, target, cautions, invalid) if found else None,
        cautions=[*confidence.imprecise(table, target), *cautions, *invalid],
        best=results.best_results(table, sized.supply if sized else None),
        picture=picture(found),
        caches=caches,
        readers=readers,
        columns=columns,
        has_energy=has_energy,
        engines=engines,
        sizing=sized,
        problems=problems(table, missing),
        total=len(table),
        valid=int(table["valid"].sum()),
        modes=table["mode"].value_counts().to_dict(),
        sample_megabytes=words.digits(table["sample_bytes"].iloc[0] / 1e6),
    )
