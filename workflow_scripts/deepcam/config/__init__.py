"""The configuration: its keys in `keys`, the types of their values in `types`, and the check of its files in `file`."""

from deepcam.config.keys import Benchmark, Cluster, Config, Data, Engine, parse

__all__ = ["Benchmark", "Cluster", "Config", "Data", "Engine", "parse"]
