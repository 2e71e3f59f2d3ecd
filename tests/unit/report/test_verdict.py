"""The verdict in words, for every case of the wordings."""

import pytest
from deepcam.report.page import rows
from deepcam.report.page.verdict import verdict
from page_example import CASES, limits, row, table


def said(*made, on_gpus=False):
    prepared = rows.prepare(table(*made))
    found = verdict(prepared, rows.comparisons(prepared), on_gpus)
    return found.title, found.sentence.replace("\u00a0", " "), [(c, s.replace("\u00a0", " ")) for c, s in found.steps]


EXPECTED = {
    "compute": (
        "Compute-bound",
        "Compute is the bottleneck with a cold page cache. Storage can deliver 18 times the rate that inference uses.",
        "Add cores or a GPU. Faster storage will not help until compute exceeds 36.0 samples/s.",
    ),
    "storage": (
        "Storage-bound",
        "Storage is the bottleneck with a cold page cache. End-to-end runs at 98 % of I/O-only speed, and compute "
        "could handle 7.0 times that rate.",
        "Get faster storage, or move the data closer to the devices: for 90 % accelerator utilisation (AU) this device "
        "needs 126 GB/s, and the reader delivers 20.3. Tuning the reader gains little: it reaches 94 % of the "
        "read-and-discard baseline.",
    ),
    "reader": (
        "Reader-bound",
        "The reader, pread, is the bottleneck with a cold page cache. It delivers 28 % of the read-and-discard "
        "baseline and its threads compute for 95 % of the time.",
        "Use a faster reader (see Readers), or give this one more cores. Faster storage will not help.",
    ),
    "overlap-limited": (
        "Overlap-limited",
        "With a cold page cache, reading and inference slow each other down: end-to-end reaches only 64 % of "
        "compute-only, the lower of its two limits, instead of 90 % or more.",
        "Look for cores or memory bandwidth that both need: try fewer reader threads, more cores per rank, or more "
        "read-ahead.",
    ),
    "balanced": (
        "Balanced",
        "With a cold page cache, I/O-only and compute-only are equal within their intervals, and end-to-end runs close "
        "to both. Neither side has headroom.",
        "Upgrade both sides together; one alone will not help.",
    ),
    "measurement-conflict": (
        "No verdict, measurements conflict",
        "With a cold page cache, end-to-end throughput was 129 % of I/O-only, its lower limit, so the machine’s speed "
        "changed between the measurements. The two limits differ only by a factor of 1.1, so it is uncertain which one "
        "is lower.",
        "Measure again on a quiet machine, with benchmark.min_starts of 10 or more.",
    ),
}


@pytest.mark.parametrize("case", EXPECTED)
def test_each_case_has_its_title_sentence_and_next_step(case):
    title, sentence, step = EXPECTED[case]
    assert said(*CASES[case]) == (title, sentence, [("", step)])


def test_states_that_agree_share_one_sentence():
    title, sentence, steps = said(*CASES["compute"], *limits(2.05, 110, 2.1, 130, cache="warm"))
    assert title == "Compute-bound" and len(steps) == 1
    assert sentence.endswith(
        "Storage can deliver 18 times the rate that inference uses with a cold page cache, and memory 54 times with a "
        "warm one."
    )
    _, sentence, _ = said(*CASES["overlap-limited"], *limits(70, 300, 100, cache="warm"))
    assert "end-to-end reaches only 64 % (cold) and 70 % (warm) of compute-only" in sentence


def test_states_that_agree_for_different_limits_have_a_sentence_each():
    _, sentence, _ = said(*limits(64, 300, 100), *limits(30, 40, 100, cache="warm"))
    assert sentence.startswith("Cold: reading and inference slow") and "Warm: reading and inference slow" in sentence
    assert "64 % of compute-only" in sentence and "75 % of I/O-only" in sentence


def test_states_that_differ_have_a_sentence_and_a_step_each_cold_first():
    title, sentence, steps = said(*limits(95, 100, 700, 105), *limits(670, 3000, 700, 3100, cache="warm"))
    assert title == "Storage-bound with a cold page cache, compute-bound with a warm one"
    assert sentence == (
        "Cold: storage is the bottleneck. End-to-end runs at 95 % of I/O-only speed, and compute could handle 7.4 "
        "times that rate. Warm: compute is the bottleneck. Memory can deliver 4.5 times the rate that inference uses."
    )
    assert [state for state, _ in steps] == ["cold", "warm"]


def test_an_engine_that_is_much_faster_is_the_first_advice():
    fast, slower, other = (
        row("compute", rate, engine=name, **settings)
        for name, rate, settings in (
            ("tensorrt-fp16", 2.8, {"precision": "fp16"}),
            ("aotinductor-auto", 2.9, {"precision": "bf16"}),
            ("tensorrt-fp16", 100.0, {"local_batch_size": 8}),
        )
    )
    _, _, [(_, step)] = said(*CASES["compute"], fast, other)
    assert step.startswith("Use tensorrt-fp16 (33 % faster than eager-fp32), and add cores or a GPU.")
    _, _, [(_, step)] = said(*CASES["compute"], slower, on_gpus=True)
    assert "aotinductor-auto (bf16) (38 % faster than eager-fp32), and use a lower precision or add GPUs." in step


def test_a_reader_below_its_baseline_is_tuned_before_storage_is_bought():
    _, _, [(_, step)] = said(*limits(98, 100, 700, 150, num_devices=8))
    assert "these 8 devices need 31.5 GB/s, and the reader delivers 5.00." in step
    assert step.endswith("First try a faster reader: this one reaches 67 % of the read-and-discard baseline.")
    _, _, [(_, step)] = said(*limits(98, 100, 700))
    assert step.endswith("the reader delivers 5.00.")


def test_a_warm_page_cache_makes_reading_the_limit_not_storage():
    title, sentence, [(_, step)] = said(*limits(98, 100, 700, 103, cache="warm"))
    assert title == "Reader-bound" and "with a warm page cache. It delivers 97 %" in sentence
    assert step.startswith("Give the reader more cores or threads")
    _, sentence, _ = said(*limits(98, 100, 700, cache="warm"))
    assert sentence.endswith("Compute could handle 7.1 times what it delivers.")


def test_a_conflict_of_few_starts_asks_for_three():
    _, _, [(_, step)] = said(*limits(129, 100, 110, num_starts=1))
    assert step.endswith("with benchmark.min_starts of 3 or more.")


def test_io_only_has_the_rates_of_both_states():
    warm = {"cache": "warm"}
    made = [row("io", 35.0), row("io", 36.0, reader="pread-discard"), row("io", 230.0, reader="dali-mmap", **warm)]
    title, sentence, [(_, step)] = said(*made)
    assert title == "I/O only: 1.75 GB/s cold, 11.5 GB/s warm"
    assert sentence == (
        "Fastest: pread cold (97 % of the read-and-discard baseline) and dali-mmap warm. Only reading was measured, "
        "so nothing says which side limits inference."
    )
    assert step == "Add compute and inference to benchmark.modes to get a verdict."
    assert said(made[1])[0] == "I/O only: 1.80 GB/s cold"


def test_compute_only_says_what_storage_a_device_needs():
    title, sentence, [(_, step)] = said(row("compute", 4.0, num_devices=2), row("compute", 3.0, local_batch_size=4))
    assert title == "Compute only: 4.00 samples/s"
    assert sentence == (
        "Fastest engine: eager-fp32. Each such device needs 0.135 GB/s of storage to reach 90 % accelerator "
        "utilisation."
    )
    assert step == "Add io and inference to benchmark.modes to see whether storage delivers that."


@pytest.mark.parametrize(
    ("made", "title", "sentence", "step"),
    [
        (
            [row("io", 1.0, invalid_reasons="run_count: expected 3, got 2"), row("compute", 1.0, valid=False)],
            "No valid result",
            "All 2 configurations failed a check. Do not use their numbers.",
            "Resolve the causes under Problems, then run the same command again.",
        ),
        (
            [row("io", 1.0), row("compute", 1.0), row("inference", 1.0, local_batch_size=4)],
            "No verdict",
            "No valid end-to-end configuration has valid I/O-only and compute-only runs with the same settings.",
            "Give all three modes the same ranks, batch sizes and threads, or resolve the causes under Problems.",
        ),
        (
            [row("io", 1.0), row("compute", 1.0)],
            "No verdict",
            "End-to-end was not measured, so nothing says how close inference gets to its limits.",
            "Add inference to benchmark.modes to get a verdict.",
        ),
        (
            [row("train", 1.0)],
            "Training only",
            "Only training was measured, so nothing says which side limits inference.",
            "Add io, compute and inference to benchmark.modes to get a verdict.",
        ),
    ],
    ids=["nothing valid", "no partners", "no end-to-end", "training"],
)
def test_without_a_comparison_the_page_says_why(made, title, sentence, step):
    assert said(*made) == (title, sentence, [("", step)])


def test_the_fastest_valid_end_to_end_result_is_judged_and_a_faster_invalid_engine_is_named():
    faster = row("inference", 9.0, engine="tensorrt-fp16", invalid_reasons="accuracy: expected 0.9, got 0.1")
    prepared = rows.prepare(table(*CASES["compute"], faster))
    (found,) = rows.comparisons(prepared)
    assert found.end_to_end["engine"] == "eager-fp32" and found.faster["engine"] == "tensorrt-fp16"


def test_a_share_that_is_just_too_small_is_not_rounded_to_the_limit():
    assert "only 89.7 % of compute-only" in said(*limits(89.7, 900, 100, half=1e-5))[1]
    assert "only 89.97 % of compute-only" in said(*limits(89.97, 900, 100, half=1e-5))[1]
