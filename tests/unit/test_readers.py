"""Every reader yields exactly the samples of its files, each once, in every split into batches and threads."""

import numpy as np
import pytest
from deepcam.readers import MODULES, Options, open_reader
from deepcam.readers.dali import chunk_bytes

SHAPE = (24, 40, 16)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npy")
    paths = []
    for i in range(5):
        paths.append(folder / f"data-{i}.npy")
        np.save(paths[-1], np.random.default_rng(i).random(SHAPE, dtype=np.float32))
    return tuple(paths)


def options(batch_size=2, inter=1, intra=1, cold=False):
    return Options(batch_size, inter, intra, cold, SHAPE)


@pytest.mark.parametrize("name", sorted(MODULES))
@pytest.mark.parametrize("batch_size", [1, 2, 3, 5])
@pytest.mark.parametrize("inter", [1, 3])
@pytest.mark.parametrize("cold", [False, True])
def test_every_sample_once_and_unchanged(files, name, batch_size, inter, cold):
    intra = 1 if name == "dali-mmap" else 2
    found = []
    with open_reader(name, files, options(batch_size, inter, intra, cold)) as reader:
        for batch in reader:
            assert 1 <= len(batch.files) <= batch_size
            if batch.array is not None:
                array = np.from_dlpack(batch.array)
                assert array.shape == (len(batch.files), *SHAPE)
                for file, sample in zip(batch.files, array, strict=True):
                    np.testing.assert_array_equal(sample, np.load(file))
            found += batch.files
    assert found == [str(path) for path in files]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_file_given_twice_is_read_twice(files, name):
    with open_reader(name, files * 2, options()) as reader:
        assert sum(len(batch.files) for batch in reader) == 10


def test_raw_finds_a_file_that_became_shorter(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((64, 64, 16), np.float32))
    with open_reader("raw", [tmp_path / "a.npy"], options(1)) as reader:
        (tmp_path / "a.npy").write_bytes(b"short")
        with pytest.raises(OSError, match="became shorter"):
            list(reader)


@pytest.mark.parametrize(
    ("sample", "intra", "chunk"),
    [(56_623_104, 1, 16 << 20), (56_623_104, 8, 4 << 20), (56_623_104, 32, 1 << 20), (1000, 8, 4096)],
)
def test_dali_chunks_are_powers_of_two_within_its_limits(sample, intra, chunk):
    assert chunk_bytes(sample, intra) == chunk
