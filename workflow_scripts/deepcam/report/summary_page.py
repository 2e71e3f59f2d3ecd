"""The results page: one HTML file that refers to no other file, and says what was found. Pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from deepcam.record.schema import Record
from deepcam.report import templates
from deepcam.report.comparison import storages as side_by_side
from deepcam.report.page import confidence, provenance, results, rows, storages, words
from deepcam.report.page.confidence import Assessment
from deepcam.report.page.picture import Picture, picture
from deepcam.report.page.problems import Problem, problems
from deepcam.report.page.provenance import Provenance
from deepcam.report.page.results import Best, EngineRow, ReaderRow
from deepcam.report.page.rows import Comparison
from deepcam.report.page.sizing import Sizing, sizing
from deepcam.report.page.storages import StorageRow
from deepcam.report.page.verdict import Verdict, verdict
from deepcam.report.tables import Tables


@dataclasses.dataclass(frozen=True)
class Page:
    """Everything that the page says, and result.json too."""

    origin: Provenance
    verdict: Verdict
    comparisons: Sequence[Comparison]
    side: Assessment | None
    precision: Assessment | None
    cautions: Sequence[str]
    best: Sequence[Best]
    picture: Picture | None
    caches: Sequence[str]
    readers: Sequence[ReaderRow]
    columns: Mapping[str, str]
    has_energy: bool
    engines: Sequence[EngineRow]
    sizing: Sizing | None
    storages: Sequence[StorageRow]
    storages_found: Sequence[str]
    """What the comparison of storages has found, a sentence for each."""
    problems: Sequence[Problem]
    invalid: Sequence[str]
    missing: int
    total: int
    valid: int
    modes: Mapping[str, int]
    sample_megabytes: str
    two_starts: bool
    """Whether a configuration has two starts, whose range takes the place of an interval."""


def gather(tables: Tables, records: Sequence[Record], missing: int, target: float) -> Page:
    """What the page says.

    `missing` is the number of missing records, and `target` the relative half width of an interval at which measuring
    ends (benchmark.precision).
    """
    table = rows.prepare(tables.summary)
    origin = provenance.provenance(records)
    found = rows.comparisons(table)
    cautions = provenance.cautions(table, records)
    invalid = confidence.invalid_results(table)
    sized = sizing(table)
    ratios = side_by_side.ratios(side_by_side.pairs(records))
    caches, readers = results.readers(table)
    columns, has_energy, engines = results.engines(table, tables.accuracy, provenance.shortest_runs(records))
    return Page(
        origin=origin,
        verdict=verdict(table, found, origin.on_gpus),
        comparisons=found,
        side=confidence.side(table, found) if found else None,
        precision=confidence.precision(table, found, target, cautions, invalid) if found else None,
        cautions=[*confidence.imprecise(table, target), *cautions, *invalid],
        best=results.best_results(table, sized.supplies if sized else []),
        picture=picture(found),
        caches=caches,
        readers=readers,
        columns=columns,
        has_energy=has_energy,
        engines=engines,
        sizing=sized,
        storages=storages.rows(table, ratios, found, sized.supplies if sized else []),
        storages_found=[storages.finding(ratio) for ratio in ratios],
        problems=problems(table, missing),
        invalid=invalid,
        missing=missing,
        total=len(table),
        valid=int(table["valid"].sum()),
        modes=table["mode"].value_counts().to_dict(),
        sample_megabytes=words.digits(table["sample_bytes"].iloc[0] / 1e6),
        two_starts=bool((table["num_starts"] == 2).any()),
    )


def render(page: Page) -> str:
    """The page's HTML."""
    environment = templates.environment()
    environment.filters |= {"percent": words.percent, "page_cache": words.page_cache}
    return environment.get_template("summary.html.j2").render(vars(page))
