"""The limit of connections to an archive holds between processes, whatever starts them."""

import contextlib
import multiprocessing
import threading
import time

import pytest
from deepcam import climate
from deepcam.data import connection_slots, download, synthesis
from servers import FaultServer

URL = f"http://archive-of-test-{time.time_ns()}.example"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(connection_slots, "POLL_SECONDS", 0.01)


@contextlib.contextmanager
def others(url, streams, folder=None):
    """What another process holds until it is killed; yields the number and the process."""
    context = multiprocessing.get_context("spawn")
    taken = context.SimpleQueue()
    process = context.Process(target=_hold, args=(url, streams, folder, taken))
    process.start()
    try:
        yield taken.get(), process
    finally:
        process.kill()
        process.join()


def _hold(url, streams, folder, taken):
    with connection_slots.connections(url, streams, folder) as count:
        taken.put(count)
        time.sleep(600)


@pytest.mark.parametrize(
    "url",
    [f"{URL}/elsewhere", f"{URL.upper().replace('HTTP', 'http')}:80", URL.replace("http://", "https://")],
    ids=["another path", "upper case and the default port", "https"],
)
def test_processes_share_the_connections_to_a_host(url):
    with others(URL, 2) as (count, _), connection_slots.connections(url, 4) as rest:
        assert (count, rest) == (2, 2)
    with connection_slots.connections(url, 4) as rest:
        assert rest == 4


def test_hosts_and_ports_do_not_share_connections():
    with connection_slots.connections(URL, 2):
        for other in (f"{URL}.other", f"{URL}:8080"):
            with connection_slots.connections(other, 2) as count:
                assert count == 2


def test_a_process_that_finds_none_waits_until_another_ends_even_by_a_signal(caplog):
    caplog.set_level("INFO")
    with others(URL, 3) as (_, process):
        threading.Timer(0.3, process.kill).start()
        with connection_slots.connections(URL, 3) as count:
            assert count >= 1  # the kernel may release the others a moment later
    assert [record.getMessage() for record in caplog.records] == [
        f"waiting, because other downloads from {URL.removeprefix('http://')} are using all 3 connections"
    ]


def test_hosts_of_a_cluster_share_connections_by_a_folder(tmp_path, monkeypatch):
    with others(URL, 2, tmp_path):
        # Another host does not see what this one has bound.
        monkeypatch.setattr(connection_slots, "_host", lambda url: f"{url} seen from another host")
        with connection_slots.connections(URL, 3, tmp_path) as count:
            assert count == 1
        with connection_slots.connections(URL, 3, tmp_path / "other") as count:
            assert count == 3


def test_downloads_of_several_shards_at_once_keep_within_the_limit(tmp_path):
    server = FaultServer()
    names = climate.synthetic_names(6)
    most, under_way, lock = 0, 0, threading.Lock()
    get = server.server.RequestHandlerClass.do_GET

    def counted(handler):
        nonlocal most, under_way
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        get(handler)

    server.server.RequestHandlerClass.do_GET = counted
    for seed, name in enumerate(names):
        synthesis.write_sample(tmp_path / name, seed, 32, 48)
        server.bodies[f"/validation/{name}"] = (tmp_path / name).read_bytes()
    try:
        shards = [
            threading.Thread(
                target=download.download_shard,
                args=(
                    server.url,
                    [f"validation/{name}" for name in names[2 * i : 2 * i + 2]],
                    tmp_path / f"shard-0{i}",
                ),
                kwargs={"streams": 2, "shape": (32, 48)},
            )
            for i in range(3)
        ]
        for shard in shards:
            shard.start()
        for shard in shards:
            shard.join()
    finally:
        server.close()
    assert len(list(tmp_path.glob("*/manifest.tsv"))) == 3
    assert most == 2
