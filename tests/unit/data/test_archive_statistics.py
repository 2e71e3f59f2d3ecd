"""The archive's own statistics, from servers that have them, have none, or send something else."""

import io
import os

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


def test_statistics_beside_the_files_of_a_site_are_found(tmp_path):
    assert archive_statistics.read_local(str(tmp_path)) is None
    (tmp_path / "stats.h5").write_bytes(stats_file())
    assert archive_statistics.read_local(str(tmp_path))[3].mean == 4
    (tmp_path / "stats.h5").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"stats\.h5: does not hold the statistics of an archive"):
        archive_statistics.read_local(str(tmp_path))


@pytest.mark.parametrize("status", [404, 410])
def test_a_source_without_statistics_is_not_an_error(server, status):
    server.faults["/stats.h5"] = [status]
    assert archive_statistics.fetch_statistics(server.url) is None


def test_a_refusal_of_the_server_is_an_error(server):
    server.faults["/stats.h5"] = [403]
    with pytest.raises(InputError, match=r"/stats\.h5: the server answered 403"):
        archive_statistics.fetch_statistics(server.url)


def with_minval(make):
    """Statistics whose minval `make` has put into the group."""
    body = io.BytesIO(stats_file())
    with h5py.File(body, "r+") as file:
        del file["climate/minval"]
        make(file["climate"])
    return body.getvalue()


def virtual(group):
    layout = h5py.VirtualLayout((16,), float)
    layout[:] = h5py.VirtualSource("secret.h5", "values", (16,))
    group.create_virtual_dataset("minval", layout)


def linked_group():
    body = io.BytesIO()
    with h5py.File(body, "w") as file:
        file["climate"] = h5py.ExternalLink("secret.h5", "climate")
    return body.getvalue()


ZEROS = np.zeros(16)
OTHERS = {
    "a page": b"<html>",
    "too few": stats_file(mean=np.zeros(4)),
    "NaN": stats_file(maxval=np.full(16, np.nan)),
    "beyond float32": stats_file(maxval=np.full(16, 1e300)),
    "text": stats_file(minval="x"),
    "complex numbers": stats_file(minval=np.zeros(16, complex)),
    "a minimum above the maximum": stats_file(minval=np.full(16, 30.0)),
    "a group in its place": with_minval(lambda group: group.create_group("minval")),
    "external storage": with_minval(
        lambda group: group.create_dataset("minval", (16,), "u1", external=[("secret.h5", 0, 16)])
    ),
    "a virtual dataset": with_minval(virtual),
    "an external link": with_minval(lambda group: group.update(minval=h5py.ExternalLink("pipe", "/values"))),
    "a soft link": with_minval(lambda group: group.update(minval=h5py.SoftLink("/climate/mean"))),
    "a link in the path": linked_group(),
    "2**36 values": with_minval(lambda group: group.create_dataset("minval", (2**36,), "f8", chunks=(2**10,))),
    "large chunks": with_minval(
        lambda group: group.create_dataset("minval", (16,), "f8", maxshape=(None,), chunks=(2**26,))
    ),
    "compression": with_minval(lambda group: group.create_dataset("minval", data=ZEROS, compression="gzip")),
}


@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS)
def test_any_other_file_is_rejected_with_the_url_and_leads_to_no_other_file(server, body, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with h5py.File("secret.h5", "w") as file:
        file["values"] = file["climate/minval"] = ZEROS
    os.mkfifo("pipe")  # whoever opens it waits for ever
    server.bodies["/stats.h5"] = body
    with pytest.raises(InputError, match=r"/stats\.h5: ") as refused:
        archive_statistics.fetch_statistics(server.url)
    assert "\n" not in str(refused.value)


def test_damaged_statistics_are_accepted_or_rejected_in_one_line(server):
    random, right = np.random.default_rng(8), stats_file()
    for _ in range(300):
        body = bytearray(right)
        for place in random.integers(len(body), size=random.integers(1, 9)):
            body[place] = random.integers(256)
        server.bodies["/stats.h5"] = bytes(body[: random.integers(1, len(body))] if random.random() < 0.1 else body)
        try:
            assert len(archive_statistics.fetch_statistics(server.url)) == 16
        except InputError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("statistics", [None, [Channel(name="TMQ", minimum=0, maximum=2, mean=1, mean_square=1.5)]])
def test_statistics_are_read_as_they_were_written(tmp_path, statistics):
    archive_statistics.write(tmp_path / "statistics.json", statistics)
    assert archive_statistics.read(tmp_path / "statistics.json") == statistics


def test_another_file_is_rejected_as_statistics(tmp_path):
    (tmp_path / "statistics.json").write_text("{}")
    with pytest.raises(InputError, match=r"statistics\.json: does not hold channel statistics"):
        archive_statistics.read(tmp_path / "statistics.json")
