"""The data model of what proves that readers delivered the samples, and that masks are those of the samples."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deepcam.record.columns import Model
from deepcam.record.fields import Count


class Delivery(Model):
    """How what a reader delivered in one pass compares with the files."""

    proof: Literal["bytes", "read calls"] = Field(
        description="How it was proved: bytes of the samples were compared with the files, or, for a reader that "
        "discards what it reads, the kernel counted how many bytes its read calls returned."
    )
    samples: Count = Field(description="Number of samples that were compared or counted.")
    bytes: Count = Field(description="Bytes that were compared, or that read calls returned.")
    wrong_samples: Count = Field(
        description="Number of samples that differ from their files, or by which the read calls fall short."
    )
    first_wrong: str | None = Field(description="File name of the first sample that differs; null without one.")


class MaskComparison(Model):
    """How masks compare with other masks of the same samples."""

    samples: Count = Field(description="Number of samples whose masks were compared.")
    pixels: Count = Field(description="Number of pixels that were compared.")
    differing_pixels: Count = Field(description="Number of pixels that have another class.")


class Verification(Model):
    """What one rank compared outside the clock: in a pass, or in mode compute after the runs."""

    delivery: Delivery | None = Field(
        description="Blocks of the samples of a pass, and some whole samples in a configuration's first start; null in "
        "mode compute."
    )
    masks: MaskComparison | None = Field(
        description="How masks of the pass, or in mode compute of the resident batch, compare with those that the "
        "engine made of the same samples at another time; null in modes io and train."
    )
    judged_masks: MaskComparison | None = Field(
        default=None,
        description="How masks of the benchmark's process compare with those that the accuracy check judged; null if "
        "it judged none, and if it was not recorded.",
    )
