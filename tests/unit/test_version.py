"""The version of the workflow is the same wherever it is stated."""

import re
import tomllib
from pathlib import Path

import deepcam
import yaml
from deepcam.benchmark import environment

ROOT = Path(__file__).parents[2]


def test_the_project_file_has_the_version():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == deepcam.__version__


def test_the_citation_has_the_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == deepcam.__version__


def test_the_newest_changes_are_those_of_the_version():
    newest = re.search(r"^## \[(?:Unreleased\]: )?([\d.]+)", (ROOT / "docs/changes.md").read_text(), re.MULTILINE)
    assert newest and newest[1] == deepcam.__version__


def test_a_record_has_the_version():
    assert environment.describe(1)["version"] == deepcam.__version__
