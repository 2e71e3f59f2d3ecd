import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from deepcam import climate, download, manifest, synthesis
from deepcam.climate import InputError

NAMES = climate.synthetic_names(3)


class Archive:
    """A loopback server: `answers` maps a path to a list of (status, body, headers), the last of which stays."""

    def __init__(self):
        self.answers = {}
        self.requests = []
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                archive.requests.append(self.path)
                answers = archive.answers.get(self.path, [(404, b"", {})])
                status, body, headers = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/base"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def put(self, name, *answers):
        self.answers[f"/base/validation/{name}"] = [
            answer if isinstance(answer, tuple) else (200, answer, {}) for answer in answers
        ]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for seed, name in enumerate(NAMES):
        synthesis.write_sample(folder / name, seed, 64, 96)
    return {name: (folder / name).read_bytes() for name in NAMES}


@pytest.fixture
def archive(contents):
    server = Archive()
    server.put("files.txt", "".join(f"{name}\n" for name in reversed(NAMES)).encode())
    for name, body in contents.items():
        server.put(name, body)
    yield server
    server.close()


@pytest.fixture
def session():
    with download.session(2) as connection:
        yield connection


def test_the_index_is_sorted_and_without_duplicates(archive, session):
    archive.put("files.txt", "\n".join([NAMES[2], NAMES[0], NAMES[2]]).encode())
    assert download.fetch_index(archive.url, "validation", session) == [NAMES[0], NAMES[2]]


@pytest.mark.parametrize(
    "body, place", [(f"{NAMES[0]}\n../evil.h5\n", "line 2"), ("<html>moved</html>", "line 1"), ("", "empty")]
)
def test_a_bad_index_is_refused_with_its_line(archive, session, body, place):
    archive.put("files.txt", body.encode())
    with pytest.raises(InputError, match=f"files.txt.*{place}"):
        download.fetch_index(archive.url, "validation", session)


def test_too_few_files_are_counted(archive):
    assert download.index_names(archive.url, "validation", 2) == NAMES[:2]
    with pytest.raises(InputError, match="has 3 files, not 4"):
        download.index_names(archive.url, "validation", 4)


def test_the_synthetic_index_needs_no_server():
    assert download.index_names("synthetic", "validation", 3) == NAMES
    with pytest.raises(InputError, match="must be at least 1"):
        download.index_names("synthetic", "validation", 0)


def test_an_unknown_source_is_refused():
    assert download.base_url("nersc") == climate.NERSC_URL
    with pytest.raises(InputError, match="nresc"):
        download.base_url("nresc")


def test_a_file_arrives_byte_for_byte(archive, session, contents, tmp_path):
    download.download_file(session, f"{archive.url}/validation/{NAMES[0]}", tmp_path / NAMES[0])
    assert (tmp_path / NAMES[0]).read_bytes() == contents[NAMES[0]]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_fails_at_once_and_names_the_url(archive, session, tmp_path, status):
    archive.put(NAMES[0], (status, b"", {}))
    with pytest.raises(InputError, match=f"validation/{NAMES[0]}.*{status}"):
        download.download_file(session, f"{archive.url}/validation/{NAMES[0]}", tmp_path / NAMES[0])
    assert len(archive.requests) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_by_itself_is_tried_again(archive, session, contents, tmp_path, status):
    archive.put(NAMES[0], (status, b"", {}), contents[NAMES[0]])
    download.download_file(session, f"{archive.url}/validation/{NAMES[0]}", tmp_path / NAMES[0])
    assert len(archive.requests) == 2


def test_an_error_page_with_status_200_is_refused_and_leaves_nothing(archive, session, tmp_path):
    archive.put(NAMES[0], b"<html>Service unavailable</html>")
    with pytest.raises(InputError, match=f"validation/{NAMES[0]}: the answer is not a sample"):
        download.download_file(session, f"{archive.url}/validation/{NAMES[0]}", tmp_path / NAMES[0])
    assert not list(tmp_path.iterdir())


def test_a_cut_transfer_is_refused_and_leaves_nothing(archive, session, contents, tmp_path):
    body = contents[NAMES[0]]
    archive.put(NAMES[0], (200, body[:-10], {"Content-Length": str(len(body)), "Connection": "close"}))
    with pytest.raises(InputError, match=f"validation/{NAMES[0]}"):
        download.download_file(session, f"{archive.url}/validation/{NAMES[0]}", tmp_path / NAMES[0])
    assert not list(tmp_path.iterdir())


def test_a_second_run_fetches_only_what_is_missing_or_broken(archive, contents, tmp_path):
    folder = tmp_path / "shard-00000"
    download.download_shard(archive.url, "validation", NAMES, folder, 2)
    entries = manifest.read_complete(folder / manifest.MANIFEST)
    assert [e.name for e in entries] == NAMES
    assert sorted(archive.requests) == [f"/base/validation/{name}" for name in NAMES]
    archive.requests.clear()
    download.download_shard(archive.url, "validation", NAMES, folder, 2)
    assert archive.requests == []
    (folder / NAMES[0]).unlink()
    with open(folder / NAMES[2], "r+b") as file:
        file.truncate(3000)
    download.download_shard(archive.url, "validation", NAMES, folder, 2)
    assert sorted(archive.requests) == [f"/base/validation/{name}" for name in (NAMES[0], NAMES[2])]
    assert manifest.read_complete(folder / manifest.MANIFEST) == entries


def test_a_failed_shard_keeps_whole_files_and_has_no_manifest(archive, tmp_path):
    folder = tmp_path / "shard-00000"
    del archive.answers[f"/base/validation/{NAMES[2]}"]
    with pytest.raises(InputError, match=f"{NAMES[2]}.*404"):
        download.download_shard(archive.url, "validation", NAMES, folder, 1)
    assert sorted(path.name for path in folder.iterdir()) == NAMES[:2]
