"""A compact record has the throughput of the whole one, and shares with others what it has in common with them."""

import page_example
from deepcam.record import metrics, precision
from deepcam.record.compact import Compact
from deepcam.report import tables
from record_example import content, in_epochs, judged
from results_example import GRID, started


def test_times_of_parts_and_throughput_stay():
    made = content()
    for run in made["runs"]:
        in_epochs(run, [1.0, 3.0], [2.0, 2.0])
    whole = judged(made)
    small = Compact()(whole)
    assert [len(run.ranks) for run in small.runs] == [1, 1]
    assert precision.start_median(small) == precision.start_median(whole) == 8 / 5
    assert [metrics.run_seconds(run) for run in small.runs] == [5.0, 5.0]
    assert small.runs[0].ranks[0].part_seconds == [2.0, 3.0]
    assert (small.metrics, small.checks, small.cell) == (whole.metrics, whole.checks, whole.cell)


def test_equal_parts_are_in_memory_once():
    compact = Compact()
    first, second = map(compact, started(GRID[0], [10.0, 10.1]))
    assert first.dataset is second.dataset and first.environment.ranks is second.environment.ranks
    other = judged(content(ranks=1) | {"dataset": content()["dataset"] | {"source": "nersc"}})
    assert compact(other).dataset.source == "nersc"


def test_the_page_says_the_same():
    records = started(GRID[0], [10.0, 10.1, 9.9, 10.0])
    summary = tables.summary(records)
    assert page_example.render(summary, [*map(Compact(), records)]) == page_example.render(summary, records)
