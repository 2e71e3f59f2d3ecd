"""Storages side by side: their ratio and its interval, the bottleneck of each, what each feeds, and nothing mixed."""

import json
import math
import random
import re

import pytest
import storages_example
from deepcam.record import precision
from deepcam.report import explorer_page, result_file, summary_page, tables
from deepcam.report.comparison import drift, storages
from deepcam.report.page import provenance
from deepcam.report.page.rows import prepare, states
from figure_example import module, texts, title
from record_example import node
from results_example import STEADY, scaled, started
from storages_example import COLD, COMPUTE, END_TO_END, FAST, SLOW, on


@pytest.fixture(scope="module", name="records")
def _records():
    return storages_example.records()


@pytest.fixture(scope="module", name="made")
def _made():
    return storages_example.make()


@pytest.fixture(scope="module", name="page")
def _page(records, made):
    return summary_page.gather(made, records, 0, 0.1)


def labels(figure):
    """All texts of a figure, also those at its ticks."""
    ticks = [tick.get_text() for axes in figure.axes for tick in (*axes.get_yticklabels(), *axes.get_xticklabels())]
    return [*texts(figure), *ticks]


def plain(text):
    return " ".join(text.replace("\u00a0", " ").split())


def test_the_faster_storage_is_twice_as_fast_as_the_slowest(records):
    cold, warm, end_to_end = storages.ratios(storages.pairs(records))
    assert (cold.mode, cold.cache, cold.a, cold.b, cold.configurations) == ("io", "cold", SLOW, FAST, 2)
    assert cold.ratio == pytest.approx(2) and cold.low <= 2 <= cold.high
    assert (warm.cache, warm.configurations) == ("warm", 1) and warm.ratio == pytest.approx(1)
    assert (end_to_end.mode, end_to_end.ratio) == ("inference", pytest.approx(1.46 / 0.97))


def test_with_one_configuration_in_equal_rounds_the_interval_is_that_of_paired_starts():
    a, b = [9.0, 10.0, 11.5, 10.2], [20.0, 19.0, 24.0, 21.0]
    (ratio,) = storages.ratios(storages.pairs([*started(COLD[0], a), *started(on(FAST, COLD[0]), b)]))
    low, high = precision.interval([two / one for one, two in zip(a, b, strict=True)])
    assert (ratio.low, ratio.high) == (pytest.approx(low), pytest.approx(high))


def test_a_drift_that_both_storages_share_does_not_widen_the_interval():
    drifting = [10.0, 11.0, 13.0, 9.0]
    steady = [rate * error for rate, error in zip(drifting, (2.0, 2.01, 1.99, 2.0), strict=True)]
    (ratio,) = storages.ratios(storages.pairs([*started(COLD[0], drifting), *started(on(FAST, COLD[0]), steady)]))
    assert 1.98 < ratio.low < 2 < ratio.high < 2.02


def test_the_interval_covers_the_truth_even_if_a_storage_is_disturbed_for_whole_rounds():
    rng, covered, trials = random.Random(1), 0, 60
    for _ in range(trials):
        found = []
        for place, factor in ((SLOW, 1.0), (FAST, 2.0)):
            shocks = [rng.gauss(0, 0.05) for _ in range(4)]
            for cell in COLD:
                found += started(on(place, cell), [10 * factor * math.exp(s + rng.gauss(0, 0.01)) for s in shocks])
        (ratio,) = storages.ratios(storages.pairs(found))
        covered += ratio.low <= 2 <= ratio.high
    assert covered >= 0.9 * trials


def test_invalid_configurations_and_few_starts_have_no_ratio():
    few = [*started(COLD[0], STEADY[:2]), *started(on(FAST, COLD[0]), scaled(2))]
    invalid = [*started(COLD[1], valid=False), *started(on(FAST, COLD[1]), scaled(2))]
    found = storages.pairs(few + invalid)
    assert storages.ratios(found) == []
    assert set(storages.table(found)["verdict"]) == {"too few starts", "not valid"}
    assert storages.pairs(few[:2]) == storages.pairs(started(COMPUTE)) == []


def test_each_of_several_storages_is_compared_with_the_slowest(records):
    third = started(on("a-tape", COLD[0]), scaled(0.1))
    assert [(pair.a, pair.b) for pair in storages.pairs([*records, *third])] == [("a-tape", SLOW), ("a-tape", FAST)]


def test_the_table_has_each_configuration_with_its_interval(made):
    found = made.storages[(made.storages["mode"] == "io") & (made.storages["cache"] == "cold")]
    assert found["inter_threads"].tolist() == [1, 2] and set(found["verdict"]) == {"faster"}
    assert ((found["ci_low"] < 2) & (found["ci_high"] > 2)).all()
    assert "storage" not in found and not [name for name in found if name.endswith("without_drift")]


def test_an_end_to_end_configuration_is_judged_by_reading_of_the_same_storage(made):
    rows = made.summary[made.summary["mode"] == "inference"].set_index("storage")
    assert rows["bottleneck"].to_dict() == {SLOW: "storage", FAST: "compute"}
    assert rows["io_only_samples_per_second"].to_dict() == {
        SLOW: pytest.approx(10, 0.01),
        FAST: pytest.approx(20, 0.01),
    }


def test_a_storage_without_its_own_reading_has_no_verdict():
    lacking = [*started(END_TO_END), *started(COMPUTE, scaled(2)), *started(on(FAST, COLD[0]))]
    assert tables.summary(lacking)["bottleneck"].isna().all()


def test_the_page_has_the_storages_side_by_side(page):
    text = plain(re.sub(r"<[^>]+>", " ", summary_page.render(page)))
    assert "Storages side by side" in text
    assert "I/O-only with a cold page cache: nvme is 2.00 times as fast as lustre (1.9" in text
    assert "I/O-only with a warm page cache: no difference between nvme and lustre was seen" in text
    assert "Storage-bound with a cold page cache on lustre, compute-bound with a cold page cache on nvme" in text
    for words in ("lustre feeds, at 90 % AU", "nvme feeds, at 90 % AU", "nvme: ext4 on /dev/vda"):
        assert words in text
    assert "not everything was measured on the same kind of node" not in text
    rows = {(row.kind, row.storage): row for row in page.storages}
    fast, slow = rows["I/O-only, cold", FAST], rows["I/O-only, cold", SLOW]
    assert slow.ratio is None and slow.ratio_words == "reference" and fast.settings == slow.settings
    assert fast.fed == pytest.approx(2 * slow.fed) and fast.number == pytest.approx(2 * slow.number)
    assert rows["End-to-end, cold", SLOW].verdict == "Storage-bound"
    assert rows["End-to-end, cold", FAST].verdict == "Compute-bound"


def test_the_result_for_programs_has_the_same_numbers(page):
    made = result_file.result(page)
    cold = [one for one in made.storages if (one.mode, one.cache) == ("io", "cold")]
    assert [(one.storage, one.slowest) for one in cold] == [(SLOW, None), (FAST, SLOW)]
    assert cold[1].ratio == pytest.approx(2) and cold[1].ratio_ci_low < 2 < cold[1].ratio_ci_high
    assert [(one.cache, one.storage, one.bottleneck) for one in made.limits] == [
        ("cold", SLOW, "storage"),
        ("cold", FAST, "compute"),
    ]
    assert made.sizing.devices_fed == cold[1].devices_fed


def test_without_names_there_is_no_comparison():
    found = [*started(on("", COLD[0])), *started(COMPUTE)]
    made = tables.Tables(tables.summary(found), tables.accuracy([]), tables.channels([], []))
    page = summary_page.gather(made, found, 0, 0.1)
    assert page.storages == [] and result_file.result(page).storages == []
    assert "Storages side by side" not in summary_page.render(page)
    assert "Storage" not in explorer_page.render(made.summary)


def test_states_of_the_page_cache_have_a_place_if_it_has_a_name(made):
    assert states(prepare(made.summary)) == [
        f"{cache} on {place}" for cache in ("cold", "warm") for place in (SLOW, FAST)
    ]


def test_the_explorer_has_a_column_for_the_storage(made):
    page = explorer_page.render(made.summary)
    (data,) = re.findall(r'<script[^>]* id="data">(.*?)</script>', page, re.S)
    content = json.loads(data)
    place = [key for key, *_ in content["columns"]].index("storage")
    assert {row[place] for row in content["rows"]} == {None, FAST, SLOW} and "cold on" not in page


@pytest.mark.parametrize("name", ["io_throughput", "batch_interval", "inference_throughput", "bottleneck"])
def test_a_figure_names_the_storage_of_each_mark_or_panel(name, made):
    shown = module(name).data(made)
    read = shown[shown["cache"] != "none"]
    assert {state.partition(" on ")[2] for state in read["cache"]} == {SLOW, FAST}
    words = " ".join(labels(module(name).draw(shown)))
    assert f"on {SLOW}" in words and f"on {FAST}" in words


def test_panels_of_two_storages_have_the_same_scale(made):
    figure = module("io_throughput").draw(module("io_throughput").data(made))
    limits = {axes.get_title(loc="left").partition(" (")[0]: axes.get_xlim() for axes in figure.axes}
    assert limits["Cold page cache on lustre"] == limits["Cold page cache on nvme"]
    assert limits["Cold page cache on nvme"] != limits["Warm page cache on nvme"]


def test_the_figure_of_ratios_says_how_much_faster(made):
    assert title("storage_ratio", made).startswith("I/O-only, cold: nvme is 2.00 times as fast as lustre; ")
    drawn = labels(module("storage_ratio").draw(module("storage_ratio").data(made)))
    assert "I/O-only, cold: nvme / lustre" in drawn and "pread, 1 rank, batch 2, 2 threads" in drawn


def test_the_drift_of_storage_is_that_of_each_place(records):
    slower = [
        record.model_copy(update={"start": record.start.model_copy(update={"probe": probe})})
        for record in records
        for probe in [
            record.start.probe.model_copy(
                update={"storage_bytes_per_second": 1e9 if record.cell.storage == FAST else 2e9}
            )
        ]
    ]
    found = drift.between(records, slower)
    assert found["storage nvme"].ratio == pytest.approx(0.5) and found["storage lustre"].ratio == pytest.approx(1)
    assert found.keys() == {"storage nvme", "storage lustre", "memory", "compute"}
    assert drift.limiting_speed(on(FAST, COLD[0])) == "storage nvme"
    assert drift.within(slower).keys() == found.keys()


def test_file_systems_of_storages_may_differ_without_a_warning():
    system = {"type": "lustre", "device": "server:/fs", "caveat": "", "memory_below": "", "layers": []}
    theirs = started(COLD[0], nodes=[node("n", file_system=system)])
    found = provenance.provenance([*theirs, *started(on(FAST, COLD[0]), nodes=[node("n")])])
    assert found.storage == "lustre: lustre on server:/fs; nvme: ext4 on /dev/vda"
    assert found.differences == ""
    mixed = [*theirs, *started(COLD[1], nodes=[node("n")])]
    assert "file_system.lustre.type (ext4, lustre)" in provenance.provenance(mixed).differences


def test_the_best_results_are_those_of_each_storage(made):
    found = tables.best(made.summary)
    assert sorted(found.loc[(found["mode"] == "io") & (found["cache"] == "cold"), "storage"]) == [SLOW, FAST]
