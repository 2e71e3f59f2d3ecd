"""An archive on loopback: a whole run from it, and its data stage with damage, verification and repair."""

import io
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from deepcam import climate, files
from deepcam.data import convert, synthesis
from servers import FaultServer, Nginx

ROOT = Path(__file__).parents[2]
NAMES = climate.synthetic_names(4)
HEIGHT, WIDTH = 96, 144  # config/tiny.yaml's
STREAMS = 1


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    root = folder / "root"
    for seed, name in enumerate(NAMES):
        synthesis.write_sample(root / "validation" / name, seed, HEIGHT, WIDTH)
    (root / "validation" / "files.txt").write_text("".join(f"{name}\n" for name in NAMES))
    # As strict as the archive: with more connections at a time than configured, it refuses. Slow enough for two jobs
    # to meet.
    nginx = Nginx(folder / "nginx", root, f"limit_conn all {STREAMS}; limit_rate 4m;")
    nginx.root = root
    yield nginx
    nginx.close()


def snakemake(folder, archive, target, **data):
    """Run one target with the tiny configuration and this archive, without the limits of a profile."""
    overlay = folder / "archive.yaml"
    overlay.write_text(json.dumps({"data": {"source": archive.url, "streams": STREAMS} | data}))
    return subprocess.run(
        [
            sys.executable, "-m", "snakemake", target, "--snakefile", ROOT / "Snakefile", "--directory", folder,
            "--configfile", ROOT / "config/tiny.yaml", overlay, "--workflow-profile", "none", "--cores", "2",
            "--show-failed-logs", "--keep-going",
        ],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def fetched(archive):
    return [Path(path).name for path, _, _ in archive.requests() if path.endswith(NAMES[0][-5:])]


def assert_equals_archive(folder, archive, expected):
    dataset = json.loads((folder / "results/data/dataset.json").read_text())
    assert [Path(sample["data"]).name for sample in dataset["samples"]] == [
        climate.npy_names(name)[0] for name in NAMES
    ]
    for name in NAMES:
        for npy in climate.npy_names(name):
            (made,) = folder.glob(f"results/data/npy/*/{npy}")
            assert files.sha256(made) == expected[npy]
    assert not list(folder.rglob("*" + files.TEMPORARY))


@pytest.mark.parametrize("keep_hdf5", [True, False], ids=["hdf5 kept", "hdf5 removed"])
def test_an_archive_arrives_and_what_is_damaged_is_named_and_repaired_and_nothing_else(archive, tmp_path, keep_hdf5):
    expected = {
        npy.name: npy.sha256
        for name in NAMES
        for npy in convert.convert_file(archive.root / "validation" / name, tmp_path / "expected")
    }
    folder = tmp_path / "work"
    folder.mkdir()
    before = len(fetched(archive))
    result = snakemake(folder, archive, "data", keep_hdf5=keep_hdf5)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_equals_archive(folder, archive, expected)
    assert sorted(fetched(archive)[before:]) == NAMES
    hdf5 = sorted(folder.glob("results/data/hdf5/archive/*/*.h5"))
    assert [path.name for path in hdf5] == (NAMES if keep_hdf5 else [])

    (damaged,) = folder.glob(f"results/data/npy/*/{climate.npy_names(NAMES[1])[0]}")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    if keep_hdf5:
        hdf5[3].write_bytes(b"!" + hdf5[3].read_bytes()[1:])
    result = snakemake(folder, archive, "verify", keep_hdf5=keep_hdf5)
    report = result.stdout + result.stderr
    assert result.returncode != 0
    assert f"{damaged.name}: its SHA-256" in report and f"{2 if keep_hdf5 else 1} of " in report
    assert not keep_hdf5 or f"{hdf5[3].name}: its SHA-256" in report

    # What is whole is found in shards of another size.
    before = len(fetched(archive))
    result = snakemake(folder, archive, "data", keep_hdf5=keep_hdf5, files_per_shard=1)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_equals_archive(folder, archive, expected)
    assert fetched(archive)[before:] == [NAMES[3] if keep_hdf5 else NAMES[1]]


@pytest.fixture
def archive_with_statistics(tmp_path):
    """An archive as NERSC's is described: HDF5 files, their list, and stats.h5 with the statistics of its channels."""
    server = FaultServer()
    values = []
    for seed, name in enumerate(NAMES):
        path = tmp_path / "archive" / name
        synthesis.write_sample(path, seed, HEIGHT, WIDTH)
        server.bodies[f"/validation/{name}"] = path.read_bytes()
        with h5py.File(path) as file:
            values.append(file["climate/data"][...].astype(np.float64).reshape(-1, len(climate.CHANNELS)))
    pixels = np.concatenate(values)
    body = io.BytesIO()
    with h5py.File(body, "w") as file:
        file["climate/count"] = np.full(len(climate.CHANNELS), len(pixels))
        for name, value in (
            ("minval", pixels.min(0)), ("maxval", pixels.max(0)),
            ("mean", pixels.mean(0)), ("sqmean", (pixels**2).mean(0)),
        ):  # fmt: skip
            file[f"climate/{name}"] = value
    server.bodies["/stats.h5"] = body.getvalue()
    server.bodies["/validation/files.txt"] = "".join(f"{name}\n" for name in NAMES).encode()
    yield server
    server.close()


def test_a_whole_run_from_an_archive_with_its_own_statistics_ends_in_tables_figures_and_page(
    archive_with_statistics, tmp_path
):
    small = {
        "data": {"source": archive_with_statistics.url, "streams": STREAMS},
        "engines": [{"backend": "eager", "precision": "fp32"}],
        "benchmark": {"readers": ["pread"], "cache": ["warm"], "ranks": [1], "inter_threads": [1]},
    }
    (tmp_path / "small.yaml").write_text(json.dumps(small))
    ended = subprocess.run(
        [
            sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", tmp_path,
            "--configfile", ROOT / "config/tiny.yaml", tmp_path / "small.yaml",
            "--workflow-profile", ROOT / "profiles/default", "--cores", "2",
        ],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    described = json.loads((tmp_path / "results/data/dataset.json").read_text())
    assert described["statistics"] == "archive"
    channels = pd.read_csv(tmp_path / "results/tables/channels.csv")
    assert channels["channel"].tolist() == list(climate.CHANNELS)
    assert (channels["minimum"] < channels["mean"]).all() and (channels["mean"] < channels["maximum"]).all()
    assert channels["nonfinite"].isna().all()  # nobody has counted them
    summary = pd.read_csv(tmp_path / "results/tables/summary.csv")
    assert set(summary["mode"]) == {"io", "compute", "inference"}
    for name in ("summary.html", "explorer.html", "figures/channel_ranges.svg", "figures/bottleneck.svg"):
        assert (tmp_path / "results" / name).stat().st_size > 1000, name
