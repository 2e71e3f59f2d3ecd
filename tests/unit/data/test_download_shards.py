"""Another shard size, split or `keep_hdf5` in the same data.dir: nothing is lost, and nothing is fetched twice."""

import pytest
from deepcam import climate
from deepcam.data import convert, download, file_index, manifest, synthesis
from servers import FaultServer

SHAPE = (32, 48)
VALIDATION = [f"validation/{name}" for name in climate.synthetic_names(4)]
TRAIN = [f"train/data-2001-01-01-0{hour}-0.h5" for hour in range(4)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    server = FaultServer()
    path = tmp_path_factory.mktemp("source") / "sample.h5"
    for seed, place in enumerate(VALIDATION + TRAIN):
        synthesis.write_sample(path, seed, *SHAPE)
        server.bodies[f"/{place}"] = path.read_bytes()
    yield server
    server.close()


def run(archive, folder, paths, files_per_shard, keep_hdf5=True):
    """Download and convert all shards, from the last to the first; return which samples were fetched for that."""
    archive.requests.clear()
    npy_dir = folder / "npy"
    for number in reversed(range(len(paths) // files_per_shard)):
        shard = file_index.shard_paths(paths, number, files_per_shard)
        hdf5, npy = (folder / kind / f"shard-{number:05d}" for kind in ("hdf5", "npy"))
        download.download_shard(archive.url, shard, hdf5, streams=2, shape=SHAPE, npy_dir=npy)
        convert.convert_shard(hdf5 / manifest.MANIFEST, npy, 1, keep_hdf5)
    for number in range(len(paths) // files_per_shard):
        entries = manifest.read_complete(npy_dir / f"shard-{number:05d}" / manifest.MANIFEST)
        shard = file_index.shard_paths(paths, number, files_per_shard)
        names = [name for path in shard for name in climate.npy_names(file_index.file_name(path))]
        assert [entry.name for entry in entries] == names
    return sorted(path.removeprefix("/") for path, _ in archive.requests)


def contents(folder, pattern):
    """Return the name and inode of each file; a list, because no name may be there twice."""
    return sorted((path.name, path.stat().st_ino) for path in folder.rglob(pattern))


@pytest.mark.parametrize("keep_hdf5", [True, False])
def test_another_shard_size_makes_no_file_again(archive, tmp_path, keep_hdf5):
    assert run(archive, tmp_path, VALIDATION, 4, keep_hdf5) == VALIDATION
    made = {pattern: contents(tmp_path, pattern) for pattern in ("*.h5", "*.npy")}
    assert [len(found) for found in made.values()] == [4 if keep_hdf5 else 0, 8]
    for size in (2, 1, 4):
        assert run(archive, tmp_path, VALIDATION, size, keep_hdf5) == []
        assert made == {pattern: contents(tmp_path, pattern) for pattern in made}


def test_another_split_keeps_what_it_does_not_need_and_finds_what_it_needs(archive, tmp_path):
    assert run(archive, tmp_path, TRAIN + VALIDATION, 4, keep_hdf5=False) == TRAIN + VALIDATION
    made = contents(tmp_path, "*.npy")
    assert run(archive, tmp_path, VALIDATION, 2, keep_hdf5=False) == []
    assert run(archive, tmp_path, TRAIN, 1, keep_hdf5=False) == []
    assert contents(tmp_path, "*.npy") == made and len(made) == 16


def test_hdf5_files_that_were_removed_after_conversion_are_not_fetched_again_to_be_kept(archive, tmp_path):
    run(archive, tmp_path, VALIDATION, 4, keep_hdf5=False)
    assert run(archive, tmp_path, VALIDATION, 2, keep_hdf5=True) == []
    assert run(archive, tmp_path, TRAIN + VALIDATION, 2, keep_hdf5=True) == TRAIN


def test_npy_files_made_from_other_hdf5_files_of_the_same_name_do_not_count_as_converted(archive, tmp_path):
    name = file_index.file_name(VALIDATION[0])
    synthesis.synthesize_shard([name], 9, tmp_path / "made" / "shard-00000", seed=9, height=32, width=48, processes=1)
    convert.convert_shard(tmp_path / "made" / "shard-00000" / manifest.MANIFEST, tmp_path / "npy" / "shard-00000", 1)
    assert run(archive, tmp_path, VALIDATION, 2) == VALIDATION
