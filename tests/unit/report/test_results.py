"""Best results, readers, engines and sizing: the right rows, words in place of blanks, and nothing without data."""

import pandas as pd
import pytest
from deepcam.report.page import results, rows
from deepcam.report.page.sizing import sizing
from page_example import ACCURACY, CASES, limits, row, table


def prepared(*made):
    return rows.prepare(table(*made))


def plain(text):
    return text.replace("\u00a0", " ")


def verdicts(*made):
    columns = ["engine", "device", "mean_iou", "required_mean_iou", "pixel_agreement", "passed"]
    return pd.DataFrame(made, columns=columns)


def test_the_best_results_are_valid_and_not_the_baseline():
    warm = row("io", 120.0, cache="warm")
    made = prepared(*CASES["storage"], warm, row("io", 999.0, ranks=2, invalid_reasons="run_count: expected 3, got 2"))
    best = results.best_results(made, sizing(made).supplies)
    assert [(b.label, b.value, b.unit) for b in best][:4] == [
        ("I/O-only, cold", "20.3", "GB/s"),
        ("I/O-only, warm", "6.00", "GB/s"),
        ("Compute-only", "2,800", "samples/s"),
        ("End-to-end, cold", "398", "samples/s"),
    ]
    assert best[0].basis == "19.9–20.7, 5 starts" and best[0].settings == "pread, 1 rank, batch 2, 1 thread"
    assert (plain(best[4].label), plain(best[4].value), best[4].unit) == (
        "Storage feeds, at 90 % AU",
        "16 %",
        "of a device",
    )
    assert best[4].settings == "extrapolated from 1 device"


def test_a_kind_without_a_valid_result_is_left_out():
    made = prepared(row("io", 1.0, invalid_reasons="run_count: expected 3, got 2"), row("compute", 4.0))
    assert [b.label for b in results.best_results(made, sizing(made).supplies)] == ["Compute-only"]


def test_the_range_of_two_starts_has_a_star_and_one_start_has_none():
    made = prepared(row("io", 36.0, num_starts=2), row("compute", 2.0, num_starts=1))
    found = results.best_results(made, [])
    assert [b.basis for b in found] == ["1.76–1.84*, 2 starts", "1 start, 2 runs"]


def test_readers_are_ranked_and_say_why_there_is_no_number():
    fault = {"invalid_reasons": "o_direct: expected True, got False"}
    made = prepared(
        row("io", 38.0, reader="pread-discard"),
        row("io", 30.0, reader="dali-direct"),
        row("io", 36.0),
        row("io", 99.0, ranks=2, **fault),
        row("io", 120.0, cache="warm"),
        row("io", 1.0, reader="torch", **fault),
        row("io", 2.0, reader="torch", ranks=2, **fault),
    )
    caches, found = results.readers(made)
    assert caches == ["cold", "warm"]
    assert [(r.name, r.is_baseline) for r in found] == [
        ("pread-discard", True),
        ("pread", False),
        ("dali-direct", False),
        ("torch", False),
    ]
    cold, warm = ([r.results[cache] for r in found] for cache in caches)
    assert [r.gigabytes or r.why for r in cold] == ["1.90", "1.80", "1.50", "no valid result in 2"]
    assert [r.gigabytes or r.why for r in warm] == ["not measured", "6.00", "bypasses the page cache", "not measured"]
    assert [r.share and round(r.share, 2) for r in cold] == [1.0, 0.95, 0.79, None]
    assert warm[1].share is None  # no baseline in this state


def test_there_is_no_table_of_readers_without_a_valid_io_only_result():
    assert results.readers(prepared(row("compute", 1.0)))[1] == []
    assert results.readers(prepared(row("io", 1.0, valid=False)))[1] == []


def test_engines_have_their_rates_and_their_accuracy_on_the_worst_device():
    made = prepared(
        *CASES["compute"],
        row("compute", 3.0, engine="aotinductor-auto", precision="bf16"),
        row("inference", 9.0, engine="aotinductor-auto", valid=False),
    )
    accuracy = verdicts(
        ("aotinductor-auto", "cuda0", 0.88, 0.87, 0.999, True), ("aotinductor-auto", "cuda1", 0.8, 0.87, 0.98, False)
    )
    columns, has_energy, (fast, slow) = results.engines(made, accuracy, {})
    assert list(columns) == ["compute", "cold"] and not has_energy
    assert (fast.name, fast.precision, fast.results["compute"].rate) == ("aotinductor-auto", "BF16", "3.00")
    assert fast.results["cold"].why == "INVALID"
    assert (fast.accuracy.iou, fast.accuracy.target, fast.accuracy.passed) == ("0.800", "0.870", False)
    assert plain(fast.accuracy.agreement) == "98.00 %"
    assert (slow.name, slow.results["cold"].rate, slow.accuracy) == ("eager-fp32", "2.00", None)


def test_there_is_no_table_of_engines_without_an_engine():
    assert results.engines(prepared(row("io", 1.0)), ACCURACY, {})[2] == []


@pytest.mark.parametrize(("seconds", "shown"), [(5.0, "12.0"), (4.9, "")], ids=["long runs", "short runs"])
def test_energy_is_shown_for_long_runs_only(seconds, shown):
    of, made = row("compute", 2.0, joules_per_sample=12.0)
    _, has_energy, (engine,) = results.engines(prepared((of, made)), ACCURACY, {of.id: seconds})
    assert (engine.joules, has_energy) == (shown, bool(shown))


def test_sizing_multiplies_the_fastest_device_and_chooses_classes_for_the_upper_end():
    made = prepared(row("compute", 40.0, half=0.05, num_devices=2), row("io", 36.0))
    found = sizing(made)
    assert (found.rate, found.need) == ("20.0", "0.900")
    assert [(n.devices, n.gigabytes, n.interval, n.network, n.media) for n in found.needs] == [
        ("1", "0.900", "0.855–0.945", "10 GbE", "PCIe 3.0 NVMe"),
        ("8", "7.20", "6.84–7.56", "100 Gb/s", "PCIe 5.0 NVMe"),
        ("64", "57.6", "54.7–60.5", "2 × 400 Gb/s", "6 × PCIe 5.0 NVMe"),
        ("1,024", "922", "876–968", "22 × 400 Gb/s", "81 × PCIe 5.0 NVMe"),
    ]
    (supply,) = found.supplies
    assert (supply.value, supply.unit, supply.sentence) == ("2", "devices", "about 2 such devices")
    assert supply.range == "1.9–2.1"


def test_less_than_two_devices_are_a_share_of_one():
    (found,) = sizing(prepared(*limits(98, 100, 700))).supplies
    assert (plain(found.value), found.unit, plain(found.range)) == ("16 %", "of a device", "15–17 %")


def test_sizing_needs_a_valid_compute_only_result_and_supply_a_cold_reader():
    assert sizing(prepared(row("io", 36.0), row("compute", 1.0, valid=False))) is None
    made = prepared(row("compute", 1.0), row("io", 99.0, cache="warm"), row("io", 99.0, reader="pread-discard"))
    assert sizing(made).supplies == []
