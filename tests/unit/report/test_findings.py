"""The findings of the report: right for known numbers, and based only on what was measured."""

import pandas as pd
import pytest
from deepcam.record import metadata
from deepcam.report import findings, tables
from record_example import cell, cell_content, judged, node
from test_figures import summary


def said(cells, missing=0, differing=()):
    return findings.statements(cells, tables.sizing(cells), missing, dict(differing))


def finding(cells, start, missing=0):
    (found,) = [s for s in said(cells, missing) if s.finding.startswith(start)]
    return found


@pytest.fixture
def cells():
    return summary()


def test_the_bottleneck_comes_first_with_its_three_throughputs(cells):
    first = said(cells)[0]
    assert first.finding == "Compute is the bottleneck of inference (warm page cache)"
    assert first.basis.startswith(
        "End-to-end reaches 3.62 samples/s. That is 91 % (range 90 % to 92 %) of compute-only, which reaches 3.98; "
        "I/O-only reaches 7.96."
    )
    assert "pread, tensorrt-auto (fp16), 1 rank, batch 1, 1 x 1 reader threads; 2 runs" in first.basis
    assert "2 of 2 end-to-end configurations can be compared" in first.basis


def test_the_best_reader_is_compared_with_the_baseline(cells):
    storage = finding(cells, "63.7 GB/s of samples from storage")
    assert "pread, 4 ranks, batch 1, 2 x 1 reader threads; 2 runs, 63.4 to 64 samples/s" in storage.basis
    assert "That is 100 % of the read-and-discard baseline (63.7 GB/s)." in storage.basis


def test_a_reader_well_above_the_baseline_is_not_good(cells):
    cells.loc[(cells["reader"] == "pread-discard") & (cells["cache"] == "warm"), "gigabytes_per_second"] /= 2
    memory = finding(cells, "63.7 GB/s of samples from memory")
    assert not memory.good and "the machine's speed changed between the measurements" in memory.basis


def test_a_warning_is_shown_with_the_number(cells):
    cells["warnings"] = "throughput_cv_small: 7%"
    assert "Warning: throughput_cv_small: 7%." in finding(cells, "63.7 GB/s of samples from storage").basis


def test_storage_for_many_devices_is_marked_as_extrapolated(cells):
    sized = finding(cells, "Each device needs 3.58 GB/s of storage bandwidth")
    assert "8 devices need 28.7" in sized.basis and "1,024 devices need 3.67e+03" in sized.basis
    assert "Extrapolated" in sized.basis and "not measured" in sized.basis
    assert "This storage (63.7 GB/s cold) could feed about 17.8." in sized.basis


def test_invalid_configurations_and_missing_records_are_not_good(cells):
    assert finding(cells, "52 of 52 configurations").good
    assert not finding(cells, "52 of 52 configurations", missing=1).good
    cells.loc[3, ["valid", "invalid_reasons"]] = [False, "throughput_cv"]
    assert not finding(cells, "51 of 52 configurations").good


def test_no_finding_is_based_on_an_invalid_configuration(cells):
    cells["valid"] = False
    texts = [s.finding for s in said(cells)]
    assert texts == ["No bottleneck verdict", "0 of 52 configurations valid"]


def test_inference_above_its_parts_has_no_verdict():
    odd = tables.summary(
        [
            cell(2.0, mode="compute", engine="eager-fp32", ranks=1, reader="none", cache="none"),
            cell(1.0, mode="inference", engine="eager-fp32", ranks=1, reader="pread", cache="warm"),
            cell(0.1, ranks=1, reader="pread", cache="warm"),
        ]
    )
    assert said(odd)[0].finding.startswith("No bottleneck verdict") and not said(odd)[0].good


def test_a_grid_of_mode_io_only_needs_no_bottleneck(cells):
    reading = cells[cells["mode"] == "io"].reset_index(drop=True)
    assert not [s for s in said(reading) if "bottleneck" in s.finding or not s.good]
    assert isinstance(reading, pd.DataFrame)


def test_records_of_several_machines_or_softwares_are_reported(cells):
    old, new = cell(), cell_content(reader="pread-discard")
    new["environment"] |= {"packages": {"torch": "3"}, "nodes": [node("m", kernel="7")], "date": "2027"}
    differing = metadata.differing_metadata([old, judged(new)])
    (told,) = [s for s in said(cells, differing=differing) if s.finding.startswith("Not all configurations")]
    assert not told.good
    assert told.basis.endswith("node.kernel: 6 or 7; packages.torch: 2 or 3.")
    assert metadata.differing_metadata([old, cell(reader="pread-discard")]) == {}
