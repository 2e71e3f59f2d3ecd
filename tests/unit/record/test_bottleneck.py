"""The verdict, its confidence and the precision of its numbers, for rates whose answer is known."""

import pytest
from deepcam.record import bottleneck
from deepcam.record.bottleneck import Rate
from page_example import limits, table
from record_example import record


def rate(value, half=0.02):
    return Rate(value, value * (1 - half), value * (1 + half))


def judge(end_to_end, io, compute, half=0.02, cache="cold", baseline=None, cpu=0.2):
    rates = (rate(value, half) for value in (end_to_end, io, compute))
    return bottleneck.judge(*rates, cache=cache, baseline=baseline, reader_cpu_utilisation=cpu)


@pytest.mark.parametrize(
    ("end_to_end", "io", "compute", "expected"),
    [
        (9.5, 100, 10, "compute"),
        (4.8, 5, 10, "storage"),
        (8.5, 100, 10, "overlap-limited"),
        (9.0, 100, 10, "compute"),
        (9.8, 10, 10.1, "balanced"),
        (12, 10, 10.5, "measurement-conflict"),
    ],
    ids=["compute", "storage", "overlap-limited", "90 % is enough", "balanced", "conflict"],
)
def test_the_lower_limit_is_the_bottleneck_if_end_to_end_reaches_it(end_to_end, io, compute, expected):
    assert judge(end_to_end, io, compute).bottleneck == expected


def test_the_columns_have_the_ratios_of_the_three_rates():
    found = judge(4.8, 5, 10, half=0.1, baseline=6)
    assert found.overlap_efficiency == pytest.approx(0.96)
    assert found.accelerator_utilisation == pytest.approx(0.48)
    assert found.headroom == pytest.approx(10 / 4.8)
    assert found.baseline_ratio == pytest.approx(5 / 6)
    assert found.limit_separation == found.bottleneck_margin == pytest.approx(10 * 0.9 / (5 * 1.1))


def test_noise_never_takes_a_verdict_away_where_the_headroom_is_plain():
    found = judge(13, 200, 10)  # 30 % above the lower limit, and the limits are 20 times apart
    assert (found.bottleneck, found.bottleneck_confidence) == ("compute", "high")
    assert found.bottleneck_margin == pytest.approx(found.limit_separation / 1.3**2)


@pytest.mark.parametrize(
    ("distance", "expected", "level"),
    [(2.0, "storage", "high"), (1.3, "storage", "medium"), (1.03, "balanced", "low")],
    ids=["far apart", "apart", "overlapping intervals"],
)
def test_confidence_follows_the_distance_of_the_limits(distance, expected, level):
    found = judge(9.8, 10, 10 * distance)
    assert (found.bottleneck, found.bottleneck_confidence) == (expected, level)


@pytest.mark.parametrize(("half", "expected"), [(0.01, "overlap-limited"), (0.05, "compute")], ids=["narrow", "wide"])
def test_a_loss_that_the_intervals_could_explain_does_not_change_the_verdict(half, expected):
    found = judge(8.7, 100, 10, half=half)
    assert (found.bottleneck, found.bottleneck_confidence) == (expected, "high")


def test_drift_lowers_the_confidence():
    assert judge(10, 10, 17).bottleneck_confidence == "high"
    assert judge(11.5, 10, 17).bottleneck_confidence == "medium"


@pytest.mark.parametrize(
    ("baseline", "cpu", "cache", "expected"),
    [
        (20, 0.9, "cold", "reader"),
        (20, 0.5, "cold", "storage"),
        (11, 0.9, "cold", "storage"),
        (None, 0.9, "cold", "storage"),
        (10, 0.1, "warm", "reader"),
    ],
    ids=["slow and busy", "slow but idle", "as fast as the baseline", "no baseline", "warm bytes come from memory"],
)
def test_a_busy_reader_below_its_baseline_is_the_bottleneck(baseline, cpu, cache, expected):
    assert judge(9.8, 10, 100, baseline=baseline, cpu=cpu, cache=cache).bottleneck == expected


def test_a_reader_above_its_baseline_proves_drift():
    assert bottleneck.drift(0.95, 1.3) == 1.3
    assert bottleneck.drift(0.95, 1.05) == 1.0  # not a ceiling
    assert bottleneck.drift(1.2, None) == 1.2


def test_the_interval_of_a_rate_is_that_of_the_starts_or_their_range():
    found = record().metrics
    assert bottleneck.rate(found) == (
        found.samples_per_second,
        found.samples_per_second_min,
        found.samples_per_second_max,
    )
    precise = found.model_copy(update={"samples_per_second_ci_low": 1.0, "samples_per_second_ci_high": 3.0})
    assert bottleneck.rate(precise)[1:] == (1.0, 3.0)


def test_the_noise_of_few_starts_is_at_least_what_they_show():
    assert bottleneck.row_noise(100, 98, 102, 0.02, 0.5) == 0.02
    assert bottleneck.row_noise(100, 97, 103, None, 0.01) == 0.03
    assert bottleneck.row_noise(100, 100, 100, None, 0.01) == 0.01


def test_drift_is_noise_beyond_ten_per_cent():
    assert bottleneck.largest_noise([0.02, 0.03], [1.05, 0.9]) == 0.03
    assert bottleneck.largest_noise([0.02], [1.25]) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("noise", "starts", "busy", "level"),
    [
        (0.05, 4, False, "high"),
        (0.1, 4, False, "medium"),
        (0.11, 4, False, "low"),
        (0.01, 2, False, "low"),
        (0.01, 4, True, "low"),
    ],
    ids=["5 %", "10 %", "more", "two starts", "busy machine"],
)
def test_precision_is_that_of_the_noise_the_starts_and_the_machine(noise, starts, busy, level):
    assert bottleneck.precision(noise, starts, busy) == level


def test_only_valid_rows_with_equal_settings_are_compared():
    rows = limits(95, 100, 700, 120)
    assert table(*rows)["bottleneck"].notna().sum() == 1
    (of, found), *others = rows
    assert table((of, found), others[0])["bottleneck"].isna().all()
    bad = [(one, made.model_copy(update={"valid": False}) if one.mode == "io" else made) for one, made in rows]
    assert table(*bad)["bottleneck"].isna().all()
    other_batch = [(one, made) for one, made in limits(95, 100, 700, 120, local_batch_size=4) if one.mode == "compute"]
    assert table(*rows[:2], *other_batch)["bottleneck"].isna().all()


def test_the_baseline_has_equal_ranks_batch_size_and_cache():
    rows = limits(95, 100, 700)
    fast = limits(1, 300, 1, 400, ranks=2)[-1]
    slower, faster = (limits(1, 1, 1, value, inter_threads=threads)[-1] for value, threads in ((110, 1), (125, 4)))
    judged = table(*rows, fast)
    assert judged["baseline_ratio"].isna().all()
    judged = table(*rows, fast, slower, faster)
    assert judged["baseline_ratio"].dropna().tolist() == [100 / 125]


def test_end_to_end_above_its_limit_is_a_warning_even_with_a_verdict():
    judged = table(*limits(13, 200, 10)).set_index("mode")
    assert judged.loc["inference", "bottleneck"] == "compute"
    assert judged.loc["inference", "warnings"] == (
        "bottleneck: expected at most 110% of the lower of I/O-only and compute-only throughput, got 130%"
    )
    assert not table(*limits(10, 200, 10))["warnings"].any()
