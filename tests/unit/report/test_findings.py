"""What the report says in words: right for known numbers, and nothing that was not measured."""

import pandas as pd
import pytest
from deepcam.record import metadata
from deepcam.report import findings, tables
from record_example import cell, node
from test_figures import summary


def said(cells, missing=0, unlike=()):
    return findings.statements(cells, tables.sizing(cells), missing, dict(unlike))


def finding(cells, start, missing=0):
    (found,) = [s for s in said(cells, missing) if s.finding.startswith(start)]
    return found


@pytest.fixture
def cells():
    return summary()


def test_the_bottleneck_comes_first_with_its_three_rates(cells):
    first = said(cells)[0]
    assert first.finding == "Computing limits inference (page cache warm)"
    assert "Inference reaches 3.62 samples/s; reading alone 7.96, computing alone 3.98: 91% of the lower" in first.basis
    assert "pread, tensorrt-auto (fp16), 1 rank, batch 1, 1 x 1 reader threads; 2 runs" in first.basis
    assert "Of 2 inference cells, 2 could be compared like this." in first.basis


def test_the_best_reader_is_named_beside_the_ceiling(cells):
    storage = finding(cells, "63.7 GB/s of samples from storage")
    assert "pread, 4 ranks, batch 1, 2 x 1 reader threads; 2 runs from 63.4 to 64 samples/s" in storage.basis
    assert "That is 100% of the ceiling, pread-discard's 63.7 GB/s" in storage.basis


def test_a_reader_above_the_ceiling_is_not_good(cells):
    cells.loc[(cells["reader"] == "pread-discard") & (cells["cache"] == "warm"), "gigabytes_per_second"] /= 2
    memory = finding(cells, "63.7 GB/s of samples from memory")
    assert not memory.good and "the machine has changed in between" in memory.basis


def test_a_warning_stands_beside_the_number(cells):
    cells["warnings"] = "spread_small: 7%"
    assert "Warning: spread_small: 7%." in finding(cells, "63.7 GB/s of samples from storage").basis


def test_storage_for_many_devices_is_marked_as_computed(cells):
    sized = finding(cells, "3.58 GB/s of storage")
    assert "8 devices 28.7" in sized.basis and "1,024 devices 3.67e+03" in sized.basis
    assert "nothing was run on that many" in sized.basis
    assert "This storage, read cold at 63.7 GB/s, would feed 17.8." in sized.basis


def test_what_is_not_valid_or_missing_is_not_good(cells):
    assert finding(cells, "52 of 52 cells").good
    assert not finding(cells, "52 of 52 cells", missing=1).good
    cells.loc[3, ["valid", "invalid_reasons"]] = [False, "spread"]
    assert not finding(cells, "51 of 52 cells").good


def test_nothing_rests_on_an_invalid_cell(cells):
    cells["valid"] = False
    texts = [s.finding for s in said(cells)]
    assert texts == ["No verdict on what limits inference", "0 of 52 cells valid"]


def test_inference_above_its_ceilings_is_no_verdict():
    odd = tables.summary(
        [
            cell(2.0, mode="compute", engine="eager-fp32", ranks=1, reader="none", cache="none"),
            cell(1.0, mode="inference", engine="eager-fp32", ranks=1, reader="pread", cache="warm"),
            cell(0.1, ranks=1, reader="pread", cache="warm"),
        ]
    )
    assert said(odd)[0].finding.startswith("No verdict") and not said(odd)[0].good


def test_a_grid_of_reading_only_is_asked_for_no_verdict(cells):
    reading = cells[cells["mode"] == "io"].reset_index(drop=True)
    assert not [s for s in said(reading) if "limits" in s.finding or not s.good]
    assert isinstance(reading, pd.DataFrame)


def test_cells_of_several_machines_or_softwares_are_told(cells):
    old, new = cell(), cell(reader="pread-discard")
    new["environment"] |= {"packages": {"torch": "3"}, "nodes": [node("m", kernel="7")], "date": "2027"}
    (told,) = [s for s in said(cells, unlike=metadata.unlike([old, new])) if s.finding.startswith("Not all cells")]
    assert not told.good
    assert told.basis.endswith("node.kernel: 6 or 7; packages.torch: 2 or 3.")
    assert metadata.unlike([old, cell(reader="pread-discard")]) == {}
