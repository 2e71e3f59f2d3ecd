"""The archive's own statistics, from servers that have them, have none, or send something else."""

import io

import h5py
import numpy as np
import pytest
from deepcam import climate
from deepcam.data import archive_statistics
from deepcam.data.dataset import Channel
from deepcam.errors import InputError
from servers import FaultServer


@pytest.fixture
def server():
    server = FaultServer()
    yield server
    server.close()


def stats_file(**changes):
    values = {name: np.arange(16.0) + place for place, name in enumerate(("minval", "mean", "maxval", "sqmean"))}
    body = io.BytesIO()
    with h5py.File(body, "w") as file:
        for name, array in (values | {"count": np.full(16, 7)} | changes).items():
            file[f"climate/{name}"] = array
    return body.getvalue()


def test_statistics_of_a_source_are_returned_per_channel(server):
    server.bodies["/stats.h5"] = stats_file()
    found = archive_statistics.fetch_statistics(server.url)
    assert [channel.name for channel in found] == list(climate.CHANNELS)
    assert found[3] == Channel(name="UBOT", minimum=3.0, mean=4.0, maximum=5.0, mean_square=6.0, nonfinite=None)


@pytest.mark.parametrize("status", [404, 410])
def test_a_source_without_statistics_is_not_an_error(server, status):
    server.faults["/stats.h5"] = [status]
    assert archive_statistics.fetch_statistics(server.url) is None


def test_a_refusal_of_the_server_is_an_error(server):
    server.faults["/stats.h5"] = [403]
    with pytest.raises(InputError, match=r"/stats\.h5: the server answered 403"):
        archive_statistics.fetch_statistics(server.url)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        stats_file(mean=np.zeros(4)),
        stats_file(maxval=np.full(16, np.nan)),
        stats_file(maxval=np.full(16, 1e300)),
        stats_file(minval="x"),
        stats_file(minval=np.full(16, 30.0)),
    ],
)
def test_any_other_file_is_rejected_with_the_url(server, body):
    server.bodies["/stats.h5"] = body
    with pytest.raises(InputError, match=r"/stats\.h5: ") as refused:
        archive_statistics.fetch_statistics(server.url)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("statistics", [None, [Channel(name="TMQ", minimum=0, maximum=2, mean=1, mean_square=1.5)]])
def test_statistics_are_read_as_they_were_written(tmp_path, statistics):
    archive_statistics.write(tmp_path / "statistics.json", statistics)
    assert archive_statistics.read(tmp_path / "statistics.json") == statistics


def test_another_file_is_rejected_as_statistics(tmp_path):
    (tmp_path / "statistics.json").write_text("{}")
    with pytest.raises(InputError, match=r"statistics\.json: does not hold channel statistics"):
        archive_statistics.read(tmp_path / "statistics.json")
