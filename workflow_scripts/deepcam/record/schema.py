"""The data model of a benchmark record: the timed loop makes these objects, the report reads them.

A record is a JSON file with the fields of `Record`.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from deepcam.climate import CLASSES
from deepcam.grid import NAME, Cell
from deepcam.record.columns import Metrics, Model
from deepcam.record.delivery_schema import Verification
from deepcam.record.environment_schema import Environment
from deepcam.record.fields import Amount, Count, Int64, Json, Level, Positive, Sha256, Share
from deepcam.record.run_schema import Run

SCHEMA_VERSION: Final = 7


def _of_all_classes(values: dict[str, float | None]) -> dict[str, float | None]:
    if values.keys() != set(CLASSES):
        raise ValueError(f"must have a value for each of {', '.join(CLASSES)}, and for nothing else")
    return values


IouByClass = Annotated[dict[str, Share | None], AfterValidator(_of_all_classes)]


class Settings(Model):
    """How often, how long and in what order a configuration is measured."""

    warmup_runs: Count = Field(description="Runs before the measured ones; they are not recorded.")
    runs: Positive = Field(description="Measured runs in one process.")
    min_seconds: Amount = Field(description="Shortest duration of a run, seconds; epochs are repeated to reach it.")
    drop_caches: bool = Field(description="Drop all of the kernel's caches before each cold run, which takes root.")
    shuffle: Literal["none", "rank", "global"] = Field(
        description="Order of the samples in each epoch: as listed, shuffled within each rank, or shuffled over all."
    )


class DatasetSummary(Model):
    """The samples that a record's runs read."""

    source: str = Field(description="Where the samples come from: the archive, synthesis, or folders of npy files.")
    sample_shape: tuple[Positive, Positive, Positive] = Field(description="Height, width and channels of each sample.")
    bytes: Positive = Field(description="Size of all samples' npy files with their headers, bytes.")
    samples: list[str] = Field(min_length=1, description="File names of the samples.")

    @property
    def header_bytes(self) -> int:
        """Size of the header of each npy file, before its float32 values. All files have the same."""
        return self.bytes // len(self.samples) - 4 * math.prod(self.sample_shape)


class AccuracyVerdict(Model):
    """How an engine's masks compare with the eager fp32 network's on the same labelled samples."""

    samples: Positive = Field(description="Number of samples compared.")
    iou: IouByClass = Field(
        description="Class to the engine's intersection over union with the labels; null if the class does not occur."
    )
    mean_iou: Share = Field(description="Mean of `iou` over the classes that occur.")
    reference_iou: IouByClass = Field(description="Like `iou`, for the reference.")
    reference_mean_iou: Share = Field(description="Mean of `reference_iou` over the classes that occur.")
    pixel_agreement: Share = Field(description="Share of pixels to which both give the same class.")
    max_logit_margin_loss: Amount = Field(
        description="Largest margin, in logits, by which the reference preferred its own class to the engine's."
    )
    median_logit_margin: Amount = Field(
        description="Median difference, in logits, between the reference's best and second-best class of a pixel."
    )
    min_iou_ratio: Share = Field(description="Required ratio of `mean_iou` to `reference_mean_iou`.")
    min_pixel_agreement: Share = Field(description="Required `pixel_agreement`.")
    engine_sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of the engine file that was judged; null if it was not recorded."
    )
    masks_sha256: Sha256 | None = Field(
        default=None,
        description="SHA-256 of the file with the masks that were judged, beside the verdict; null if it was not "
        "recorded.",
    )
    passed: bool = Field(
        description="True if both requirements are met and pixels of at least two classes agree with the labels."
    )


class EngineDescription(Model):
    """The engine's fingerprint: what it was built from, by what and for what device. More fields may follow."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json]

    precision: str = Field(pattern=NAME, description="Precision that the engine computes in, such as fp32.")
    accuracy: list[AccuracyVerdict] = Field(description="Verdicts on the engine, one for each device.")


class Probe(Model):
    """How fast the machine was just before a start, measured with the same simple program each time."""

    storage_bytes_per_second: Amount = Field(
        description="Reading a sample from storage, with O_DIRECT where possible, bytes/s."
    )
    memory_bytes_per_second: Amount = Field(description="Copying memory on one core, bytes/s.")
    hashing_bytes_per_second: Amount = Field(description="Hashing memory with SHA-256 on one core, bytes/s.")


class Start(Model):
    """The place of a start among all starts of its run of the workflow."""

    number: Count = Field(description="Number of this start among those of its configuration, from 0.")
    round: Count = Field(description="Round in which it was measured; each has one start of each configuration left.")
    position: Count = Field(description="Place in the random order of its round, from 0.")
    seed: Count = Field(description="Seed of the random orders.")
    probe: Probe = Field(description="Speed of the machine just before the start.")


class Check(Model):
    """One validity check."""

    name: str = Field(description="Name of the check.")
    level: Level = Field(description="A failed error makes the record invalid; a warning does not.")
    expected: bool | Int64 | float | str = Field(description="What the check expected.")
    actual: bool | Int64 | float | str = Field(description="What it found.")
    ok: bool = Field(description="True if the check passed.")


class Measurement(Model):
    """What was measured, with what and on what: a record without its checks and metrics."""

    schema_version: Literal[7] = Field(description="Version of this format.")
    cell: Cell = Field(description="The configuration that was measured.")
    settings: Settings = Field(description="How it was measured.")
    start: Start | None = Field(description="Its place among all starts; null if it was started by hand.")
    dataset: DatasetSummary = Field(description="The samples that were read.")
    engine: EngineDescription | None = Field(description="What computed; null in mode io.")
    environment: Environment = Field(description="Machine and software.")
    verification: list[Verification] | None = Field(
        description="What each rank compared outside the clock, by rank; null if it was not recorded."
    )
    runs: list[Run] = Field(min_length=1, description="The measured runs, in order.")

    @property
    def has_judged_masks(self) -> bool:
        """True if the accuracy check kept the masks of the engine. Earlier releases did not."""
        return self.engine is not None and any(verdict.masks_sha256 for verdict in self.engine.accuracy)

    @model_validator(mode="after")
    def _check_ranks(self) -> Self:
        for run in self.runs:
            if len(run.ranks) != len(self.environment.ranks):
                raise ValueError(f"run of {len(run.ranks)} ranks in an environment of {len(self.environment.ranks)}")
        if self.verification is not None and len(self.verification) != len(self.environment.ranks):
            raise ValueError(f"verification of {len(self.verification)} ranks, not {len(self.environment.ranks)}")
        return self

    @model_validator(mode="after")
    def _check_sample_numbers(self) -> Self:
        number = max(int(run.read_samples()[0].max(initial=0)) for run in self.runs)
        if number >= len(self.dataset.samples):
            raise ValueError(
                f"sample_numbers has {number:,}, but the dataset has {len(self.dataset.samples):,} samples"
            )
        return self


class Record(Measurement):
    """Record of one benchmark job."""

    checks: list[Check] = Field(min_length=1, description="Validity checks and their results.")
    metrics: Metrics = Field(description="Metrics of this record alone; the tables pool all starts of a configuration.")
    digest: Sha256 | None = Field(
        default=None,
        description="SHA-256 of this record without its digest, as JSON with sorted keys and without spaces; null if "
        "it was not recorded.",
    )
