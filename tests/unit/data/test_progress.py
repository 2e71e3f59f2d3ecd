"""Progress through bytes and files, in a log and on a terminal."""

import io

import pytest
from deepcam.data import progress


def test_progress_in_a_log_has_rate_and_remaining_time(caplog, monkeypatch):
    monkeypatch.setattr(progress, "LOG_SECONDS", 0)
    with caplog.at_level("INFO"), progress.transfer_progress("shard-00007", 4_000_000) as advance:
        advance(1_000_000)
        advance(1_000_000)
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("shard-00007: 2.00M of 4.00M, ") and line.endswith(" left") for line in lines), lines
    assert not any("\r" in line for line in lines)


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.transfer_progress("shard-00007", 4_000_000) as advance:
        advance(2_000_000)
    assert "shard-00007:  50%|" in terminal.getvalue()


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_a_function_is_called_for_each_item_and_its_results_are_in_order(count, caplog):
    with caplog.at_level("INFO"):
        assert progress.for_each("samples", lambda item: 2 * item, range(count), 3) == list(range(0, 2 * count, 2))
    assert caplog.records[-1].getMessage().startswith(f"samples: {count} of {count}, ")


def test_the_first_exception_ends_the_walk():
    started = []

    def fail(item):
        started.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        progress.for_each("samples", fail, range(100_000), 1)
    assert started == [0]
