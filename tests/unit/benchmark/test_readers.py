"""Every reader yields each sample of its files once, for all batch sizes and numbers of threads."""

import importlib.util
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from deepcam.benchmark import page_cache
from deepcam.benchmark.devices import open_device
from deepcam.benchmark.readers import Options, cufile, open_reader
from deepcam.benchmark.readers.dali import chunk_bytes
from deepcam.errors import InputError
from deepcam.grid import READERS

SHAPE = (24, 40, 16)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npy")
    paths = []
    for i in range(5):
        paths.append(folder / f"data-{i}.npy")
        np.save(paths[-1], np.random.default_rng(i).random(SHAPE, dtype=np.float32))
    return tuple(paths)


def options(batch_size=2, inter=1, intra=1, cold=False, device="cpu"):
    return Options(batch_size, inter, intra, cold, SHAPE, device)


HOST_READERS = sorted(name for name, reader in READERS.items() if not reader.gpu)


@pytest.mark.parametrize("name", HOST_READERS)
@pytest.mark.parametrize("batch_size", [1, 2, 3, 5])
@pytest.mark.parametrize("inter", [1, 3])
@pytest.mark.parametrize("cold", [False, True])
def test_every_sample_is_read_once_and_unchanged(files, name, batch_size, inter, cold):
    intra = 2 if READERS[name].chunks else 1
    check_all_samples(files, name, options(batch_size, inter, intra, cold))


def on_a_gpu(name):
    missing = name == "kvikio" and importlib.util.find_spec("kvikio") is None
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason="KvikIO is not installed"))


def skip_what_this_machine_lacks(name):
    if name == "dali-gds":
        try:
            cufile.check()
        except InputError as error:
            pytest.skip(str(error))


@pytest.mark.gpu
@pytest.mark.parametrize("name", [on_a_gpu(name) for name in sorted(READERS)])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("cold", [False, True])
def test_every_sample_reaches_the_gpu_once_and_unchanged(files, name, batch_size, cold):
    skip_what_this_machine_lacks(name)
    open_device("cuda:0")
    intra = 2 if READERS[name].chunks else 1
    check_all_samples(files * 3, name, options(batch_size, 3, intra, cold, "cuda:0"))


@pytest.mark.gpu
@pytest.mark.parametrize("name", [on_a_gpu(name) for name in sorted(READERS) if not READERS[name].discards])
def test_a_batch_stays_valid_until_queued_work_has_read_it(files, name):
    skip_what_this_machine_lacks(name)
    open_device("cuda:0")
    sums = []
    with open_reader(name, files * 3, options(2, 3, 1, device="cuda:0")) as reader:
        for batch in reader:
            torch.cuda._sleep(20_000_000)  # the host is about 10 ms ahead of the GPU
            sums.append(batch.array.double().sum((1, 2, 3)))
    expected = [np.load(path).astype(np.float64).sum() for path in files * 3]
    np.testing.assert_allclose(torch.cat(sums).cpu().numpy(), expected, rtol=1e-9)


def check_all_samples(files, name, options):
    found = []
    with open_reader(name, files, options) as reader:
        for batch in reader:
            assert 1 <= len(batch.files) <= options.batch_size
            if READERS[name].discards:
                assert batch.array is None
            else:
                array = torch.from_dlpack(batch.array)
                assert array.device == torch.device(options.device)
                assert array.is_contiguous()
                for file, sample in zip(batch.files, array.cpu().numpy(), strict=True):
                    np.testing.assert_array_equal(sample, np.load(file))
            found += batch.files
    assert found == [str(path) for path in files]


@pytest.mark.parametrize("name", HOST_READERS)
def test_a_file_given_twice_is_read_twice(files, name):
    with open_reader(name, files * 2, options()) as reader:
        assert sum(len(batch.files) for batch in reader) == 10


@pytest.mark.parametrize("name", HOST_READERS)
def test_a_reader_can_be_closed_before_the_end(files, name):
    with open_reader(name, files * 4, options()) as reader:
        next(iter(reader))


@pytest.mark.usefixtures("disk")  # files on tmpfs cannot be evicted
@pytest.mark.parametrize("name", HOST_READERS)
def test_nothing_is_read_before_iteration_starts(files, name):
    page_cache.evict(files)
    with open_reader(name, files, options()):
        time.sleep(0.1)
        assert page_cache.resident_fraction(files) < 0.2  # DALI reads the headers


def test_torch_workers_live_until_the_reader_is_closed(files):
    with open_reader("torch", files, options(inter=3)) as reader:
        list(reader)
        assert len(reader.processes) == 3
        assert all(Path(f"/proc/{process}").exists() for process in reader.processes)
    assert not any(Path(f"/proc/{process}").exists() for process in reader.processes)


@pytest.mark.parametrize("intra", [1, 2, 7, 15, 16, 32])
def test_pread_reads_a_sample_in_any_number_of_chunks(files, intra):
    check_all_samples(files, "pread", options(3, 2, intra, True))


def test_pread_continues_after_a_short_read(files, monkeypatch):
    preadv = os.preadv

    def short(descriptor, views, offset):
        return preadv(descriptor, [views[0][: max(1, len(views[0]) // 2)]], offset)

    monkeypatch.setattr(os, "preadv", short)
    check_all_samples(files, "pread", options(2, 2, 3))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_dali_does_not_read_beyond_the_last_batch(files, batch_size):
    with open_reader("dali-mmap", files, options(batch_size)) as reader:
        list(reader)
        assert reader._pipeline._batches_to_consume == 0


def test_an_error_of_cufile_is_reported_in_one_line(files, monkeypatch):
    from nvidia.dali import Pipeline

    def refuse(self, cuda_stream=None):
        raise RuntimeError(
            "Critical error in pipeline:\nCUFile import failed: a.npy. file descriptor is not registered."
        )

    monkeypatch.setattr(Pipeline, "share_outputs", refuse)
    with open_reader("dali-mmap", files, options()) as reader, pytest.raises(InputError) as caught:
        list(reader)
    assert "a.npy" in str(caught.value) and "nvidia-fs" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sample", "intra", "chunk"),
    [(56_623_104, 1, 16 << 20), (56_623_104, 8, 4 << 20), (56_623_104, 32, 1 << 20), (1000, 8, 4096)],
)
def test_dali_chunk_sizes_are_powers_of_two_within_its_limits(sample, intra, chunk):
    assert chunk_bytes(sample, intra) == chunk
