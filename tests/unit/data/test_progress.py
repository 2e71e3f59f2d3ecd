"""Progress of a transfer, in a log and on a terminal."""

import io

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
