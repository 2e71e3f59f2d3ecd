"""Synthetic CAM5-like samples: physically inspired fields with planted, labelled cyclones and rivers.

Not a climate model: zonal means with realistic units, spectral noise, and events whose moisture, winds, pressure and
rain agree with their labels. It stands in for the archive where that cannot be reached. Events vary in strength, meet
and cross the border at 0 degrees east; structures that share some of their signs but are neither cyclone nor river lie
among them, so that no threshold on one channel finds the labels.
"""

from deepcam.data.synthesis.samples import VERSION, sample, sample_seed
from deepcam.data.synthesis.shards import is_sample, synthesize_shard, write_sample

__all__ = ["VERSION", "is_sample", "sample", "sample_seed", "synthesize_shard", "write_sample"]
