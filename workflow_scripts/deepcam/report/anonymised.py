"""Records, configuration and description of a dataset without the names of hosts, servers, paths and accounts.

Equal names get equal replacements, such as node-1, so that results can still be compared. Pure functions.
"""

from __future__ import annotations

import collections
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepcam import climate, paths
from deepcam.config import Config
from deepcam.config.keys import Model
from deepcam.data.dataset import Dataset
from deepcam.record.schema import Record

PATH = r"(?<![\w./])/[\w.][^\s:,;'\")\]]*"
"""An absolute path in a text."""

ADDRESS = r"\w+://[^\s'\"]+|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"
"""A URL or an IPv4 address in a text."""

DISK = re.compile(r"/dev/(?:[shv]d[a-z]+|xvd[a-z]+|nvme\d+n\d+|md\d+|dm-\d+|loop\d+|mmcblk\d+)p?\d*")
"""A device whose name the kernel chose."""

KNOWN_FOLDERS = {"", "/", paths.DATA, Model().parts}
"""Folders that are the same everywhere."""

OPTION = re.compile(r"\w+|\w+=\d+(?:\.\d+)?[kKmMgG]?|(?:proto|vers|data|compress|cache)=[\w.:-]+")
"""A mount option that names nobody: a flag, a number, or a choice that affects performance."""

UNCHANGED = {
    "cell", "settings", "start", "packages", "python", "mpi", "kernel", "driver",
    "batch_interval_nanoseconds", "batch_samples", "sample_numbers", "sample_counts",
}  # fmt: skip
"""Fields of a record that name nobody: versions may look like addresses, and packed numbers like paths."""


class Anonymiser:
    """Replaces names. The replacements are numbered in the order in which the names are first seen."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Note the names of nodes and devices in `records`, which are replaced wherever they occur."""
        self._replacements: dict[str, dict[str, str]] = collections.defaultdict(dict)
        for node in itertools.chain.from_iterable(record.environment.nodes for record in records):
            self._name("node", node.name)
            for system in node.file_systems:
                if system.device not in ("", system.type) and not DISK.fullmatch(system.device):
                    self._name("device", system.device)
        names = "|".join(sorted(map(re.escape, filter(None, self._known())), key=len, reverse=True))
        self._pattern = re.compile((rf"(?<![\w.-])(?:{names})(?![\w-])|" if names else "") + f"{ADDRESS}|{PATH}")

    def record(self, record: Record) -> Record:
        """A record with other names of nodes, mounts, devices, paths, addresses and samples.

        Names of samples stay if they are as in the archive.
        """
        return Record.model_validate_json(json.dumps(self._tree(record.model_dump(mode="json"))))

    def config(self, config: Config) -> Config:
        """The configuration with other paths, addresses and nodes, and without the account and the partition."""
        places = {name: self._folder(folder) for name, folder in config.data.places.items()}
        folders = places if isinstance(config.data.dir, dict) else places[""]
        data = {"source": self._source(config.data.source), "dir": folders}
        cluster = {"launcher": self._text(config.cluster.launcher), "account": "", "partition": ""}
        return config.model_copy(
            update={
                "data": config.data.model_copy(update=data),
                "model": config.model.model_copy(update={"parts": self._folder(config.model.parts)}),
                "benchmark": config.benchmark.model_copy(update={"launcher": self._text(config.benchmark.launcher)}),
                "cluster": config.cluster.model_copy(update=cluster),
            }
        )

    def dataset(self, dataset: Dataset) -> Dataset:
        """The description with another source, and with names of samples instead of their paths."""
        samples = []
        for sample in dataset.samples:
            name = self._sample(sample.data.name)
            samples.append(sample.model_copy(update={"data": Path(name), "label": Path(climate.label_name(name))}))
        return dataset.model_copy(update={"source": self._source(dataset.source), "samples": tuple(samples)})

    def _tree(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            if key == "unknown_samples":
                return {self._sample(name): times for name, times in value.items()}
            return {name: one if name in UNCHANGED else self._tree(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self._tree(one, key) for one in value]
        if not isinstance(value, str):
            return value
        special = {
            "mount": self._folder, "options": _options, "samples": self._sample, "first_wrong": self._sample,
            "source": self._source,
        }  # fmt: skip
        return special.get(key, self._text)(value)

    def _text(self, text: str) -> str:
        return self._pattern.sub(self._replacement, text)

    def _replacement(self, found: re.Match[str]) -> str:
        text = found[0]
        return self._known().get(text) or (self._folder(text) if text.startswith("/") else self._name("address", text))

    def _source(self, source: str) -> str:
        if source.startswith(("http://", "https://")):
            return f"https://{self._name('address', source)}.invalid"
        return self._folder(source) if paths.is_local(source) else self._text(source)

    def _folder(self, path: str) -> str:
        return path if path in KNOWN_FOLDERS or DISK.fullmatch(path) else self._name("path", path)

    def _sample(self, name: str) -> str:
        if climate.FILE_NAME.fullmatch(f"{name.removesuffix('.npy')}.h5"):
            return name
        return f"data-{self._name('sample', name)}.npy"

    def _known(self) -> dict[str, str]:
        """The replacements of the names of nodes and devices."""
        return self._replacements["device"] | self._replacements["node"]

    def _name(self, kind: str, name: str) -> str:
        """The replacement of a name, such as node-1."""
        known = self._replacements[kind]
        return known.setdefault(name, f"{'/' if kind == 'path' else ''}{kind}-{len(known) + 1}")


def _options(options: str) -> str:
    return ",".join(filter(OPTION.fullmatch, options.split(",")))
