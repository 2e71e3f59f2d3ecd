"""Mutated records and verdicts: each is refused in one short line, or tabulated and compared without an error."""

import json
import random
import warnings
from pathlib import Path

import page_example
import pytest
import record_mutations
from deepcam.errors import InputError
from deepcam.record import consistency_checks, store
from deepcam.report import explorer_page, tables
from deepcam.report.comparison import differences, drift, presentation, significance
from deepcam.report.comparison.sides import Results
from record_example import cell_content, judged, record, verdict
from results_example import GRID, measured

MUTATIONS = 500
SEED = 1
BASELINE = {GRID[0]: [measured(GRID[0])] * 3}
VERSION_6 = Path(__file__).parents[2] / "fixtures/record_v6.json"


def examples():
    inference = cell_content(mode="inference", reader="pread", engine="aotinductor-auto")
    inference["engine"] = {"precision": "fp16", "torch": "2", "minimum": [1.0, 2.0], "accuracy": [verdict()]}
    new = [record(), judged(inference), measured(GRID[0])]
    return [*(made.model_dump(mode="json") for made in new), json.loads(VERSION_6.read_text())]


def tabulate_and_compare(made, folder):
    summary = tables.summary([made])
    assert "<script" not in page_example.render(summary, [made])
    assert explorer_page.render(summary).count("<script") == 2
    tables.sizing(summary)
    for name in ("summary.csv", "summary.parquet"):
        tables.write(tables.best(summary), folder / name)
    a, b = (Results(name, records, {}) for name, records in (("a", BASELINE), ("b", {made.cell: [made] * 3})))
    drifts = drift.between(a.all_records(), b.all_records())
    cells = significance.compare(a.records, b.records, drifts)
    significance.regressions(cells, 0.9)
    shown = presentation.markdown(a, b, cells, drifts, differences.differences(a, b))
    assert "<" not in shown and shown.replace("\n", "").isprintable()


def test_a_mutated_record_is_refused_in_one_line_or_can_be_shown(tmp_path, seed=SEED, mutations=MUTATIONS):
    rng, originals, accepted = random.Random(seed), examples(), 0
    for number in range(mutations):
        mutated = record_mutations.mutated(rng.choice(originals), rng)
        if rng.random() < 0.9:  # the others are told as edited
            mutated["digest"] = consistency_checks.digest(mutated)
        content = record_mutations.text(mutated, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                made = store.parse(content, tmp_path / "0.json")
                accepted += 1
                tabulate_and_compare(made, tmp_path)
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 500
            except Exception as error:
                raise AssertionError(f"mutation {number} of seed {seed}: {content[:2000]!r}") from error
    assert accepted > mutations / 20


def test_a_mutated_verdict_is_refused_in_one_line_or_can_be_tabulated(tmp_path, seed=SEED, mutations=MUTATIONS):
    rng, path = random.Random(seed), tmp_path / "eager-fp32/cpu.json"
    path.parent.mkdir()
    for number in range(mutations):
        path.write_bytes(record_mutations.text(record_mutations.mutated(verdict(), rng), rng))
        try:
            shown = tables.accuracy([path]).iloc[0]
            assert 0 <= shown["mean_iou"] <= 1 and 0 <= shown["required_mean_iou"] <= 1
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 500
        except Exception as error:
            raise AssertionError(f"mutation {number} of seed {seed}: {path.read_bytes()[:2000]!r}") from error


@pytest.mark.parametrize("content", [b"[" * 10**6, b'{"schema_version": 5' + b" " * 10**7, b"\x00" * 1000, b""])
def test_large_or_deep_files_end_at_once(content, tmp_path):
    with pytest.raises(InputError, match="not a benchmark record"):
        store.parse(content, tmp_path / "0.json")
