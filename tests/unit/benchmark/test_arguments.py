"""The command line of run_benchmark: every name means one thing, and contradictions name both options."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import record_example
from deepcam.benchmark import arguments, page_cache, ranks, run
from deepcam.errors import InputError
from deepcam.model import judged_masks
from deepcam.model.fingerprint import write_fingerprint
from deepcam.record.schema import AccuracyVerdict, Settings

SHAPE = (16, 24, 16)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ranks.LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(4):
        np.save(tmp_path / f"data-{i}.npy", np.zeros(SHAPE, np.float32))
        np.save(tmp_path / f"label-{i}.npy", np.zeros((*SHAPE[:2], 2), np.float32))
    return tmp_path


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    folder = tmp_path / "engines"
    folder.mkdir()
    for device, precision in (("cpu", "fp32"), ("cuda0", "fp16"), ("cuda1", "fp16")):
        fingerprint = {"backend": "eager", "precision": precision, "cuda_graphs": precision == "fp16"}
        write_fingerprint(folder / f"{device}.pt2", fingerprint)
    return folder


def parse(folder: Path, words: str) -> run.Job:
    common = f"--data-dirs {folder} --outputfile {folder / 'record.json'} --batch-size 2 {words}"
    return arguments.parse(common.split())


def check(job: run.Job) -> None:
    run.check_job(job)
    run.read_fingerprints(job)


def test_the_originals_command_line_is_understood_with_dashes_and_underscores(
    folder: Path, engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "may_drop_all", lambda: True)
    job = parse(
        folder,
        f"--mode=inference --trt_model_dir {engines} --num_warmup_runs 2 --num-runs=7 --max_inter_threads 4"
        " --disable_mmap --drop_fs_cache --device_count 2 --enable_fp16 --enable_nhwc --enable_graphs --preprocess"
        f" --global_shuffle --visualize --visualization_output_dir {folder}",
    )
    assert job.cell.id == "inference_dali-buffered_cold_none_r0001_b002_t04x01"
    assert job.devices == ["cuda:0", "cuda:1"]
    assert job.engine_files == [engines / "cuda0.pt2", engines / "cuda1.pt2"]
    assert job.settings == Settings(warmup_runs=2, runs=7, min_seconds=0.0, drop_caches=True, shuffle="global")
    assert job.visualization == folder
    assert [path.name for path in job.dataset.files] == [f"data-{i}.npy" for i in range(4)]
    assert job.dataset.sample_shape == SHAPE
    check(job)


@pytest.mark.parametrize(
    ("words", "cell"),
    [
        ("--mode io", "io_dali-mmap_warm_none_r0001_b002_t01x01"),
        ("--mode io --enable-gds --device-id 1", "io_dali-gds_cold_none_r0001_b002_t01x01"),
        ("--mode io --reader dali-gds --enable-gds --devices cuda:0", "io_dali-gds_cold_none_r0001_b002_t01x01"),
        ("--mode io --drop-fs-cache --cache cold --shuffle", "io_dali-mmap_cold_none_r0001_b002_t01x01"),
        ("--mode io --reader pread --max-intra-threads 4", "io_pread_warm_none_r0001_b002_t01x04"),
        ("--mode compute --engine e", "compute_none_none_e_r0001_b002_t01x01"),
        ("--mode io --reader raw", "io_pread-discard_warm_none_r0001_b002_t01x01"),
        ("--mode io --ranks 2", "io_dali-mmap_warm_none_r0002_b001_t01x01"),
    ],
)
def test_options_map_onto_the_cell(folder: Path, words: str, cell: str) -> None:
    assert parse(folder, words).cell.id == cell


def test_the_old_name_of_a_reader_is_understood_with_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parse(folder, "--mode io --reader raw")
    assert capsys.readouterr().err == "warning: reader raw is now called pread-discard; use the new name\n"


def test_the_launcher_says_how_many_ranks_must_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    assert parse(folder, "--mode io").cell.ranks == 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--mode io --reader pread --enable-gds --device-id 0", "--reader pread and --enable-gds contradict"),
        ("--mode io --enable-gds --disable-mmap --device-id 0", "--enable-gds and --disable-mmap contradict"),
        ("--mode io --enable-gds", "dali-gds needs a GPU"),
        ("--mode io --cache warm --drop-fs-cache", "--cache warm and --drop-fs-cache contradict"),
        ("--mode io --reader dali-direct --cache warm", "reader dali-direct and cache warm contradict"),
        ("--mode io --cache none", "mode io and cache none contradict"),
        ("--mode io --reader none", "mode io and reader none contradict"),
        ("--mode io --reader numpy --max-intra-threads 2", "reader numpy and 2 intra-sample threads contradict"),
        ("--mode inference --reader pread-discard", "reader pread-discard and mode inference contradict"),
        ("--mode compute --reader pread", "mode compute and reader pread contradict"),
        ("--mode compute --cache warm", "mode compute and cache warm contradict"),
        ("--mode io --devices cuda:1 --device-id 0", "--devices and --device-id contradict"),
        ("--mode io --trt-model-dir x", "engine files and --mode io contradict"),
        ("--mode inference --engine-files y --trt-model-dir x", "--engine-files and --trt-model-dir contradict"),
        ("--mode io --visualize --visualization-output-dir x", "--visualize and --mode io contradict"),
        ("--mode io --preprocess", "--preprocess and --mode io contradict"),
        ("--mode inference --visualize", "--visualize and --visualization-output-dir: give both"),
        ("--mode io --ranks 3", "--batch-size 2: must be a multiple of the ranks, 3"),
        ("--mode io --max-inter-threads 0", "argument --max-inter-threads: 0 is not allowed; it must be at least 1"),
        ("--mode io --min-seconds nan", "argument --min-seconds: nan is not allowed; it must be a finite number"),
        ("--mode io --min-seconds 1e999", "argument --min-seconds: inf is not allowed; it must be a finite number"),
        ("--mode io --min-seconds -1", "argument --min-seconds: -1.0 is not allowed; it must be at least 0"),
        ("--mode io --num-warmup-runs -1", "argument --num-warmup-runs: -1 is not allowed; it must be at least 0"),
        ("--mode io --num-runs 2.0", "argument --num-runs: '2.0' is not allowed; it must be an integer"),
        ("--mode io --num-runs 1000000000", "--num-runs: 1000000000 is not allowed; it must be at most 1000000"),
        ("--mode train --width-multiplier inf", "--width-multiplier: inf is not allowed; it must be a finite number"),
        ("--mode io --devices cuda", "argument --devices: 'cuda' is not allowed; it must match pattern"),
        ("--mode io --ranks 0", "argument --ranks: 0 is not allowed; it must be at least 1"),
        ("--mode io --no-such-option", "unrecognized arguments: --no-such-option; see --help"),
        ("--mode train --batch-size 1", "mode train and 1 sample per batch and rank contradict"),
        ("--mode train --ranks 2", "mode train and 1 sample per batch and rank contradict"),
        ("--mode fly", "invalid choice: 'fly'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(folder: Path, words: str, error: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(folder, words)
    assert error in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--mode inference", "0 engine files for 1 devices"),
        ("--mode inference --trt-model-dir {engines} --device-count 2 --enable-trt", "--enable-trt: .* backend eager"),
        ("--mode inference --trt-model-dir {engines} --enable-fp16", "--enable-fp16: .* precision fp32"),
        ("--mode inference --trt-model-dir {engines} --enable-graphs", "--enable-graphs: .* cuda_graphs False"),
        ("--mode inference --trt-model-dir /nowhere", "/nowhere/cpu.json: the fingerprint of the engine is missing"),
        ("--mode io --batch-size 6", "dataset has 4 samples, fewer than the global batch size 6"),
    ],
)
def test_what_does_not_fit_the_engine_or_the_data_is_refused(
    folder: Path, engines: Path, words: str, error: str
) -> None:
    with pytest.raises(InputError, match=error):
        check(parse(folder, words.format(engines=engines)))


@pytest.mark.parametrize("missing", ["engine_sha256", "masks_sha256"])
def test_an_accuracy_file_that_does_not_say_what_it_judged_is_refused(
    folder: Path, engines: Path, missing: str
) -> None:
    old = engines / "accuracy.json"
    content = record_example.verdict()
    del content[missing]
    old.write_text(json.dumps(content))
    job = parse(folder, f"--mode inference --trt-model-dir {engines} --accuracy-files {old}")
    with pytest.raises(InputError, match=r"accuracy\.json: does not say which engine file and masks it judged; delete"):
        run.describe_subject(job)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("missing", r"verdict\.npz: missing; it holds the masks"),
        ("replaced", r"verdict\.npz: does not hold the masks that .*verdict\.json is about"),
        ("of other samples", "verdict.json is about no sample of this dataset"),
        ("of other devices", "--accuracy-files: 2 for 1 devices"),
    ],
)
def test_masks_that_are_not_those_of_the_verdict_are_refused_before_the_runs(
    folder: Path, engines: Path, fault: str, error: str
) -> None:
    verdict, masks = AccuracyVerdict.model_validate(record_example.verdict()), np.zeros((1, 2, 3), np.uint8)
    path = engines / "verdict.json"
    samples = [Path("other.npy")] if fault == "of other samples" else [folder / "data-0.npy"]
    judged_masks.write(verdict, path, samples, masks)
    if fault == "missing":
        judged_masks.path_of(path).unlink()
    elif fault == "replaced":
        kept = path.read_bytes()
        judged_masks.write(verdict, path, samples, masks + 1)
        path.write_bytes(kept)
    files = [path, path] if fault == "of other devices" else [path]
    words = f"--mode inference --trt-model-dir {engines} --accuracy-files {' '.join(map(str, files))}"
    with pytest.raises(InputError, match=error):
        run.run(parse(folder, words))


def test_an_engine_without_its_file_is_refused_before_the_runs(folder: Path, engines: Path) -> None:
    with pytest.raises(
        InputError, match=r"cpu\.pt2: missing; to rebuild it, run snakemake .* --forcerun compile_engine"
    ):
        run.run(parse(folder, f"--mode inference --trt-model-dir {engines}"))


def test_masks_are_drawn_beside_labels_only(folder: Path, engines: Path) -> None:
    (folder / "label-1.npy").unlink()
    job = parse(
        folder, f"--mode inference --trt-model-dir {engines} --visualize --visualization-output-dir {folder / 'seen'}"
    )
    with pytest.raises(InputError, match=r"--visualize: .*label-1\.npy is missing"):
        check(job)


def test_folders_without_samples_or_with_other_ones_are_refused(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"empty: no data-\*\.npy in there"):
        parse(empty, "--mode io")
    np.save(folder / "data-2.npy", np.zeros((16, 24, 8), np.float32))
    with pytest.raises(InputError, match=r"data-2\.npy: shape \(16, 24, 8\), but .*data-0\.npy has \(16, 24, 16\)"):
        parse(folder, "--mode io")
    (folder / "data-2.npy").write_bytes((folder / "data-1.npy").read_bytes()[:-1])
    with pytest.raises(InputError, match=r"data-2\.npy: has \d+ bytes, its header says"):
        parse(folder, "--mode io")
    np.save(folder / "data-2.npy", np.zeros(SHAPE))
    with pytest.raises(InputError, match=r"data-2\.npy: contains float64"):
        parse(folder, "--mode io")
    (folder / "data-2.npy").write_text("no array")
    with pytest.raises(InputError, match=r"data-2\.npy: not an npy file"):
        parse(folder, "--mode io")


def test_a_launcher_that_states_no_number_of_ranks_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_SIZE", "two")
    with pytest.raises(InputError, match="PMI_SIZE: 'two' is not a number of ranks"):
        parse(folder, "--mode io")


def replace_engine(folder: Path) -> None:
    (folder / "engines/cpu.pt2").write_bytes(b"another one")


def replace_fingerprint(folder: Path) -> None:
    write_fingerprint(folder / "engines/cpu.pt2", {"backend": "eager", "precision": "bf16"})


@pytest.mark.parametrize("replace", [replace_engine, replace_fingerprint])
def test_an_engine_that_is_replaced_while_the_start_waits_or_measures_is_an_error(
    folder: Path, engines: Path, monkeypatch: pytest.MonkeyPatch, replace: Callable[[Path], None]
) -> None:
    (engines / "cpu.pt2").write_bytes(b"engine")
    job = parse(folder, f"--mode inference --engine-files {engines / 'cpu.pt2'} --reader pread --cache warm")
    monkeypatch.setattr(run, "_measure", lambda *_: (0.0, replace(folder)))
    with pytest.raises(InputError, match=r"cpu\.pt2: the engine was replaced during the start"):
        run.run(job)


def test_samples_that_changed_are_an_error_after_the_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = parse(folder, "--mode io --reader pread --cache warm")
    changed = [sample.model_copy(update={"sha256": "0" * 64}) for sample in job.dataset.samples]
    job = dataclasses.replace(job, dataset=job.dataset.model_copy(update={"samples": tuple(changed)}))
    monkeypatch.setattr(run, "_measure", lambda *_: (0.0, None))
    with pytest.raises(InputError, match=r"its SHA-256 is not that of dataset\.json"):
        run.run(job)


def test_links_to_one_sample_are_an_error_before_the_runs(folder: Path) -> None:
    (folder / "data-1.npy").unlink()
    (folder / "data-1.npy").symlink_to(folder / "data-0.npy")
    with pytest.raises(InputError, match=r"the same file as"):
        run.run(parse(folder, "--mode io --reader pread --cache warm"))


def test_ranks_share_the_check_that_files_have_their_sizes(folder: Path) -> None:
    job = parse(folder, "--mode io --reader pread --cache warm")
    (folder / "data-1.npy").write_bytes(b"")
    me = ranks.init_ranks(1)
    run._check_files(job, dataclasses.replace(me, rank=0, size=2))
    with pytest.raises(InputError, match=r"data-1\.npy: has 0 bytes instead of"):
        run._check_files(job, dataclasses.replace(me, rank=1, size=2))
