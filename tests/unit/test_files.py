"""What a file system refuses is told in one line, and is left out where that is safe."""

import errno
import fcntl
import os

import pytest
from deepcam import files
from deepcam.data import manifest
from deepcam.errors import InputError


def refusing(number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP, 524])
def test_a_file_system_without_locks_is_reported_and_the_work_goes_on(tmp_path, monkeypatch, caplog, number):
    monkeypatch.setattr(fcntl, "flock", refusing(number))
    with manifest.exclusive_folder(tmp_path / "shard-00000", []):
        assert (tmp_path / "shard-00000").is_dir()
    assert f"{tmp_path}/shard-00000.lock: this file system has no locks" in caplog.text


def test_a_lock_that_is_taken_is_not_called_a_missing_one(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refusing(errno.EWOULDBLOCK))
    with pytest.raises(BlockingIOError), files.locked(tmp_path / "lock"):
        pass


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_named_with_the_reason(tmp_path, monkeypatch, number):
    def refuse(path, flags, *more, open=os.open, **others):
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            raise OSError(number, os.strerror(number), str(path))
        return open(path, flags, *more, **others)

    monkeypatch.setattr(os, "open", refuse)
    with (
        pytest.raises(InputError, match=f"shard-00000.lock: {os.strerror(number)}: ") as told,
        manifest.exclusive_folder(tmp_path / "shard-00000", []),
    ):
        pass
    assert "\n" not in str(told.value)


def test_a_file_in_the_place_of_a_shard_folder_is_named(tmp_path):
    (tmp_path / "shard-00000").touch()
    with (
        pytest.raises(InputError, match="shard-00000: File exists: "),
        manifest.exclusive_folder(tmp_path / "shard-00000", []),
    ):
        pass


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file: File exists: "), files.atomic_path(tmp_path / "file" / "shard"):
        pass
    with pytest.raises(InputError, match=r"file: File exists: "), files.locked(tmp_path / "file" / "lock"):
        pass
    with pytest.raises(InputError, match=r"file/none: Not a directory: "):
        files.read_lines(tmp_path / "file" / "none", "header")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EROFS])
def test_a_file_system_that_is_never_written_need_not_flush(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", refusing(number))
    files.write_text(tmp_path / "text", "text")
    assert (tmp_path / "text").read_text() == "text"


def test_a_flush_that_fails_is_an_error_and_leaves_the_old_file(tmp_path, monkeypatch):
    files.write_text(tmp_path / "text", "old")
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    with pytest.raises(InputError, match="text: Input/output error: "):
        files.write_text(tmp_path / "text", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"text": "old"}
