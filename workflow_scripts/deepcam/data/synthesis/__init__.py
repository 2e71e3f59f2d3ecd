"""Synthetic CAM5-like samples: physically inspired fields with labelled cyclones and atmospheric rivers.

They replace the archive on machines that cannot reach it. They are not the output of a climate model: the fields are
zonal means with realistic units plus spectral noise, to which events are added whose moisture, winds, pressure and rain
agree with their labels. Events vary in strength, may overlap, and may cross 0 degrees east. Unlabelled structures
share some features with them, so that no threshold on a single channel finds the labels.
"""

from deepcam.data.synthesis.samples import VERSION, sample, sample_seed
from deepcam.data.synthesis.shards import is_sample, synthesize_shard, write_sample

__all__ = ["VERSION", "is_sample", "sample", "sample_seed", "synthesize_shard", "write_sample"]
