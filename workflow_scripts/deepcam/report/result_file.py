"""What the results page says, for programs: dashboards, and checks in CI. Pure functions."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from deepcam.record.columns import Confidence, Limit, Model
from deepcam.report.page import confidence
from deepcam.report.page.rows import Comparison
from deepcam.report.page.sizing import DEVICES, Sizing
from deepcam.report.page.storages import StorageRow
from deepcam.report.summary_page import Page

FORMAT_VERSION: Final = 1


class Step(Model):
    """A next step."""

    cache: str = Field(
        description="State of the page cache for which it holds, with the place if places are named, such as cold on "
        "nvme; empty if it holds for all."
    )
    step: str = Field(description="What to do.")


class Verdict(Model):
    """The answer in words."""

    title: str = Field(description="The verdict in a few words.")
    sentence: str = Field(description="The verdict in a sentence or two.")
    steps: list[Step] = Field(description="What to do next.")


class Limits(Model):
    """The fastest valid end-to-end configuration of a state of the page cache and a place beside its two limits."""

    cache: str = Field(description="State of the page cache: cold or warm.")
    storage: str = Field(description="Name of the place that is read; empty if the only place has no name.")
    configuration: str = Field(description="Id of the end-to-end configuration.")
    bottleneck: Limit = Field(description="What limits it.")
    bottleneck_confidence: Confidence = Field(description="How sure it is what limits.")
    headroom: float = Field(description="Higher one of I/O-only and compute-only throughput / end-to-end throughput.")
    overlap_efficiency: float = Field(description="End-to-end throughput / lower one of the two.")
    accelerator_utilisation: float = Field(description="End-to-end throughput / compute-only throughput.")
    end_to_end_samples_per_second: float = Field(description="End-to-end throughput.")
    io_only_samples_per_second: float = Field(description="I/O-only throughput with the same settings.")
    compute_only_samples_per_second: float = Field(description="Compute-only throughput with the same settings.")


class Level(Model):
    """A level of confidence or precision."""

    level: Confidence = Field(description="high, medium or low.")
    reasons: list[str] = Field(description="Why, a sentence each.")


class Best(Model):
    """One of the best valid results."""

    label: str = Field(description="What it is, such as I/O-only, cold.")
    value: float = Field(description="The number.")
    unit: str = Field(description="Its unit.")
    basis: str = Field(description="Its interval and number of starts.")
    settings: str = Field(description="Reader or engine, and the settings.")
    configuration: str = Field(description="Id of the configuration.")


class Need(Model):
    """What a number of devices needs."""

    devices: int = Field(description="Number of devices.")
    gigabytes_per_second: float = Field(description="Storage bandwidth for 90 % accelerator utilisation, GB/s.")
    network: str = Field(description="Smallest class of network that carries it.")
    media: str = Field(description="Smallest class of drives that delivers it.")


class Storage(Model):
    """Storage for devices like the fastest measured one; extrapolated."""

    engine: str = Field(description="The fastest engine.")
    needs: list[Need] = Field(description="What numbers of devices need.")
    devices_fed: float | None = Field(
        description="Number of devices that the measured storage feeds with a cold page cache, the fastest one if "
        "several are named; null if not measured."
    )


class StorageRatio(Model):
    """A named storage beside the slowest one, in a mode and state of the page cache."""

    mode: str = Field(description="io, inference or train.")
    cache: str = Field(description="State of the page cache: cold or warm.")
    storage: str = Field(description="Name of the storage.")
    configuration: str = Field(description="Id of the configuration that is fastest with equal settings.")
    samples_per_second: float = Field(description="Its throughput.")
    slowest: str | None = Field(
        description="Name of the slowest storage; null for that one itself, and if there are too few starts to compare."
    )
    ratio: float | None = Field(
        description="Throughput divided by that of the slowest storage: geometric mean over configurations."
    )
    ratio_ci_low: float | None = Field(description="Lower end of the ratio's 95 % confidence interval.")
    ratio_ci_high: float | None = Field(description="Upper end of that interval.")
    configurations: int = Field(description="Number of configurations in the ratio.")
    devices_fed: float | None = Field(
        description="Number of devices that it feeds; null unless it was read alone with a cold page cache."
    )


class Problem(Model):
    """Configurations that failed the same check."""

    level: str = Field(description="INVALID if these configurations are excluded, else Warning.")
    check: str = Field(description="Name of the check; empty for missing records.")
    title: str = Field(description="What is wrong.")
    number: int = Field(description="Number of configurations, or of missing records.")
    remedy: str = Field(description="What to do.")


class Origin(Model):
    """Machine, data, time and software of the measurements."""

    host: str = Field(description="Name of the first node.")
    machine: str = Field(description="Processor, memory, GPUs and driver.")
    storage: str = Field(description="File system and device.")
    dataset: str = Field(description="Number, source and size of the samples.")
    when: str = Field(description="First and last time of measurement, UTC.")
    commit: str = Field(description="Commit of the workflow.")
    software: str = Field(description="Versions of the main packages.")
    differences: str = Field(description="What differs between nodes or configurations; empty if nothing does.")


class Result(Model):
    """What the results page says."""

    schema_version: Literal[1] = Field(description="Version of this format.")
    verdict: Verdict = Field(description="What limits inference.")
    limits: list[Limits] = Field(description="The numbers behind the verdict, one for each state of the page cache.")
    side: Level | None = Field(description="How sure it is which side limits; null without a verdict.")
    precision: Level | None = Field(description="How precise the numbers are; null without a verdict.")
    cautions: list[str] = Field(description="What to keep in mind, a sentence each.")
    best: list[Best] = Field(description="The best valid results; the page also has `sizing.devices_fed` among them.")
    sizing: Storage | None = Field(description="Storage that devices need; null without a compute-only result.")
    storages: list[StorageRatio] = Field(description="The named storages side by side; empty if there is only one.")
    configurations: int = Field(description="Number of configurations.")
    valid: int = Field(description="Number of valid ones.")
    missing_records: int = Field(description="Number of records that are missing.")
    problems: list[Problem] = Field(description="Problems by cause.")
    provenance: Origin = Field(description="Where the numbers come from.")


def result(page: Page) -> Result:
    """The content of the file, from what the page says."""
    return Result(
        schema_version=FORMAT_VERSION,
        verdict=Verdict(
            title=page.verdict.title,
            sentence=page.verdict.sentence,
            steps=[Step(cache=cache, step=step) for cache, step in page.verdict.steps],
        ),
        limits=[_limits(comparison) for comparison in page.comparisons],
        side=_level(page.side),
        precision=_level(page.precision),
        cautions=list(page.cautions),
        best=[
            Best(
                label=one.label,
                value=one.number,
                unit=one.unit,
                basis=one.basis,
                settings=one.settings,
                configuration=one.configuration,
            )
            for one in page.best
            if one.configuration
        ],
        sizing=_storage(page.sizing),
        storages=list(map(_ratio, page.storages)),
        configurations=page.total,
        valid=page.valid,
        missing_records=page.missing,
        problems=[
            Problem(
                level=one.level,
                check=one.cause,
                title=one.title.striptags(),
                number=one.number,
                remedy=one.remedy.striptags(),
            )
            for one in page.problems
        ],
        provenance=Origin(**{name: getattr(page.origin, name) for name in Origin.model_fields}),
    )


def _limits(comparison: Comparison) -> Limits:
    row = comparison.end_to_end
    return Limits(
        configuration=row["id"],
        cache=row["page_cache"],
        end_to_end_samples_per_second=row["samples_per_second"],
        **{name: row[name] for name in Limits.model_fields if name in row.index and name != "cache"},
    )


def _level(assessment: confidence.Assessment | None) -> Level | None:
    return Level(level=assessment.level, reasons=assessment.reasons) if assessment else None


def _storage(sizing: Sizing | None) -> Storage | None:
    if sizing is None:
        return None
    needs = [
        Need(
            devices=number,
            gigabytes_per_second=number * sizing.gigabytes_per_second,
            network=need.network,
            media=need.media,
        )
        for number, need in zip(DEVICES, sizing.needs, strict=True)
    ]
    return Storage(
        engine=sizing.engine, needs=needs, devices_fed=max((one.fed for one in sizing.supplies), default=None)
    )


def _ratio(row: StorageRow) -> StorageRatio:
    ratio = row.ratio
    return StorageRatio(
        mode=row.mode,
        cache=row.cache,
        storage=row.storage,
        configuration=row.configuration,
        samples_per_second=row.number,
        slowest=ratio.a if ratio else None,
        ratio=ratio.ratio if ratio else None,
        ratio_ci_low=ratio.low if ratio else None,
        ratio_ci_high=ratio.high if ratio else None,
        configurations=ratio.configurations if ratio else 0,
        devices_fed=row.fed,
    )
