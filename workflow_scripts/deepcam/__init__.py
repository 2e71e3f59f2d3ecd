"""DeepCAM inference and I/O benchmark: the library behind the workflow. It never imports Snakemake."""

__version__ = "1.0.0"
"""Semantic version of the workflow. `pyproject.toml`, `CITATION.cff` and docs/changes.md state it, too."""
