"""The files for GitHub and GitLab run all checks, with a Python that the project supports."""

import os
import tomllib
from pathlib import Path

import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]


def supported(image):
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    name, _, version = image.partition(":")
    return name == "python" and SpecifierSet(required).contains(version.partition("-")[0])


def test_github_runs_all_checks():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"} and supported(job["container"])


def test_gitlab_runs_all_checks():
    (job,) = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text()).values()
    assert job["script"] == [".ci/run"] and supported(job["image"])


def test_the_program_of_both_can_be_run():
    assert os.access(ROOT / ".ci/run", os.X_OK)
