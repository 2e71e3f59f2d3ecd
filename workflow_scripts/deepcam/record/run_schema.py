"""The data model of a record's runs: what each rank measured."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from deepcam.grid import LARGEST_NUMBER
from deepcam.record.columns import Model
from deepcam.record.delivery_schema import Delivery, MaskComparison
from deepcam.record.fields import Amount, Count, Duration, Json, Positive, Share
from deepcam.record.packed import Packed, count, total, unpack, unpack_all, within

LARGEST_COUNT = 10**9
"""Numbers and counts of samples are no larger. A sum of many of them fits into 64 bits."""


ThrottleReason = Literal[
    "software power cap",
    "hardware slowdown",
    "software thermal slowdown",
    "hardware thermal slowdown",
    "hardware power brake",
]
"""NVML's reasons for lower clocks of a GPU that count as throttling."""


class ClockMegahertz(Model):
    """A clock of a GPU in the samples that were taken during a run, ten a second, MHz."""

    lowest: Count = Field(description="Lowest of the samples, MHz.")
    median: Amount = Field(
        description="Median of the samples, MHz; in a run of several parts, the mean of their medians."
    )
    maximum: Count | None = Field(description="Highest rate that the GPU supports, MHz; null where it does not tell.")


class DeviceUsage(Model):
    """What the whole device used during a run, by all processes; null where the device does not tell."""

    energy_joules: Amount | None = Field(default=None, description="Energy, joules.")
    utilisation: Amount | None = Field(default=None, description="Share of the time in which a kernel ran, 0 to 1.")
    memory_bytes: Count | None = Field(
        default=None,
        description="Memory in use at the end, bytes; allocators keep what they had, so this is the peak.",
    )
    sm_clock: ClockMegahertz | None = Field(
        default=None,
        description="Clock of the GPU's multiprocessors (SM); null in runs of less than 0.1 s and if not recorded.",
    )
    memory_clock: ClockMegahertz | None = Field(default=None, description="Clock of the GPU's memory, likewise.")
    throttled_shares: dict[ThrottleReason, Share] | None = Field(
        default=None,
        description="Reason for throttling to the share of the samples in which NVML gave it; reasons that it never "
        "gave are left out; null in runs of less than 0.1 s and if not recorded.",
    )
    power_violation_seconds: Amount | None = Field(
        default=None,
        description="How long power limits held the clocks back, by NVML's violation counter, seconds; null if not "
        "recorded.",
    )
    thermal_violation_seconds: Amount | None = Field(
        default=None, description="How long the GPU's temperature did, likewise; null if not recorded."
    )


class RankRun(Model):
    """One rank's part of one run."""

    part_seconds: list[Duration] = Field(
        min_length=1,
        description="Wall time of each part of the run, seconds: from the ranks' common start to this rank's last "
        "batch. A cold run has a part for each epoch, and the files are evicted between parts; others have one part.",
    )
    batch_interval_nanoseconds: Annotated[Packed, within(1, 0, 10**18)] = Field(
        description="Time from each finished batch to the next, nanoseconds, packed; a part's first counts from its "
        "start.",
    )
    batch_samples: Annotated[Packed, within(1, 1, LARGEST_NUMBER)] = Field(
        description="Number of samples in each batch, packed."
    )
    sample_numbers: Annotated[Packed, within(0, 0, LARGEST_COUNT)] = Field(
        description="The samples that the reader reported as read, packed: their places in `dataset.samples`, from 0; "
        "none in mode compute."
    )
    sample_counts: Annotated[Packed, within(0, 1, LARGEST_COUNT)] = Field(
        description="How often it reported each of `sample_numbers` as read, packed, in the same order."
    )
    unknown_samples: dict[str, Positive] = Field(
        default={},
        description="File name to how often the reader reported it as read, for files that are not in the dataset; "
        "empty unless the reader has a bug.",
    )
    cpu_seconds: Amount = Field(
        description="CPU time of the rank's processes, seconds, without that of the kernel's threads."
    )
    node_cpu_utilisation: Share | None = Field(
        description="Share of the time of all cores of the node in which they were busy. "
        "One rank per node measures it; null on the others."
    )
    background_cpu_load: Share | None = Field(
        description="Share of the time of the job's own cores on this node that processes outside the job took, "
        "without kernel threads. One rank per node measures it; null on the others.",
    )
    throttled_seconds: Amount | None = Field(
        description="Time for which the kernel held back the control groups of the job's processes on this node, "
        "because their CPU quota was used up, seconds, summed over cores. One rank per node measures it; null on the "
        "others, where no control group is visible, and in records of version 6."
    )
    thread_cores: list[str] | None = Field(
        description="The different sets of cores that the rank's threads were allowed to use, those of its reader's "
        "processes included, such as 0-3,8; null in records of version 6."
    )
    peak_rss_bytes: Count = Field(
        description="Peak resident memory of the rank's processes since they started, with mapped files, bytes."
    )
    page_faults: Count | None = Field(
        description="Page faults of the rank's own process during the run; null if not recorded."
    )
    bytes_read_from_storage: Count = Field(
        description="Bytes that the kernel fetched from storage for the rank's processes (/proc/PID/io)."
    )
    bytes_returned_by_reads: Count | None = Field(
        description="Bytes that read calls returned to the rank's processes, from storage or from memory "
        "(/proc/PID/io); null if not recorded."
    )
    disk_bytes: Count | None = Field(
        default=None,
        description="Bytes that the disks below the dataset read and wrote on this node during the run, for all "
        "processes. One rank per node measures it; null on the others, where no disk is visible, and if not recorded.",
    )
    network_bytes_read: Count | None = Field(
        default=None,
        description="Bytes that the clients of network file systems fetched from their servers on this node during "
        "the run, for all processes. One rank per node measures it; null on the others, where a file system of the "
        "dataset has no such counter, and if not recorded.",
    )
    reader: dict[str, Json] = Field(description="How the reader read, such as chunk size and O_DIRECT.")
    device: DeviceUsage = Field(description="What the rank's device used.")
    delivery: Delivery | None = Field(
        description="How the samples compare with the files, by a few bytes of each; null in mode compute and if it "
        "was not recorded."
    )
    masks: MaskComparison | None = Field(
        description="How masks compare, at random pixels, with those of the pass outside the clock and of resident "
        "batches; null in modes io and train, and if it was not recorded."
    )

    @property
    def num_batches(self) -> int:
        """Number of batches."""
        return count(self.batch_samples)

    @property
    def batch_interval_seconds(self) -> np.ndarray:
        """Time from each finished batch to the next, float64."""
        return unpack(self.batch_interval_nanoseconds) / 1e9

    @property
    def batch_sizes(self) -> np.ndarray:
        """Number of samples in each batch, int64."""
        return unpack(self.batch_samples)

    @property
    def num_samples(self) -> int:
        """Number of samples in all batches."""
        return total(self.batch_samples)

    @model_validator(mode="after")
    def _check_counts_of_samples(self) -> Self:
        numbers, counts = count(self.sample_numbers), count(self.sample_counts)
        if numbers != counts:
            raise ValueError(f"{numbers:,} sample_numbers and {counts:,} sample_counts")
        return self


class Run(Model):
    """One measured run of all ranks."""

    epochs: Count = Field(description="How often the run read the dataset; 0 in mode compute.")
    page_cache_residency_min: list[Share] = Field(
        min_length=1, description="Lowest share of a rank's files in the page cache just before each part."
    )
    page_cache_residency_max: list[Share] = Field(
        min_length=1, description="Highest share of a rank's files in the page cache just before each part."
    )
    ranks: list[RankRun] = Field(min_length=1, max_length=LARGEST_NUMBER, description="Each rank's part, by rank.")

    @property
    def batch_interval_seconds(self) -> np.ndarray:
        """Time from each finished batch to the next, rank by rank, float64."""
        return unpack_all(rank.batch_interval_nanoseconds for rank in self.ranks) / 1e9

    def read_samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Places in `dataset.samples` of what the readers reported as read, and how often they did, int64."""
        numbers = unpack_all(rank.sample_numbers for rank in self.ranks)
        return numbers, unpack_all(rank.sample_counts for rank in self.ranks)

    @model_validator(mode="after")
    def _check_parts_and_readings_of_nodes(self) -> Self:
        parts = {len(self.page_cache_residency_min), len(self.page_cache_residency_max)}
        if len(parts | {len(rank.part_seconds) for rank in self.ranks}) > 1:
            raise ValueError("its fields have different numbers of parts")
        for field in ("node_cpu_utilisation", "background_cpu_load"):
            if all(getattr(rank, field) is None for rank in self.ranks):
                raise ValueError(f"no rank has {field}")
        return self
