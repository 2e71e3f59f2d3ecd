"""The archive's own statistics, from a server that has them, has none, or has something else."""

import io

import h5py
import numpy as np
import pytest
from deepcam import climate
from deepcam.data import archive_statistics
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


def test_a_source_that_has_statistics_gives_them_per_channel(server):
    server.bodies["/stats.h5"] = stats_file()
    found = archive_statistics.fetch_statistics(server.url)
    assert [channel["name"] for channel in found] == list(climate.CHANNELS)
    assert found[3] == {"name": "UBOT", "minimum": 3.0, "mean": 4.0, "maximum": 5.0, "mean_square": 6.0,
                        "nonfinite": None}  # fmt: skip


@pytest.mark.parametrize("status", [404, 410])
def test_a_source_without_statistics_is_no_error(server, status):
    server.faults["/stats.h5"] = [status]
    assert archive_statistics.fetch_statistics(server.url) is None


def test_a_source_that_refuses_is_an_error(server):
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
def test_anything_else_is_refused_with_the_url(server, body):
    server.bodies["/stats.h5"] = body
    with pytest.raises(InputError, match=r"/stats\.h5: ") as refused:
        archive_statistics.fetch_statistics(server.url)
    assert "\n" not in str(refused.value)
