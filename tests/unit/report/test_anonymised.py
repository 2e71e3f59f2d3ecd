"""Anonymised records, configurations and descriptions name no host, server, path or account, and still are equal."""

import json
import tarfile
from pathlib import Path

import anonymise_bundle
import pytest
import yaml
from dataset_example import dataset
from deepcam import config, paths
from deepcam.errors import InputError
from deepcam.record.schema import Record
from deepcam.report.anonymised import Anonymiser
from deepcam.report.comparison import sides
from record_example import cell_content, judged, node, verdict
from results_example import GRID, bundle, measured, write

NAMED = {
    "Check.actual", "Check.expected", "DatasetSummary.samples", "DatasetSummary.source", "Delivery.first_wrong",
    "Environment.variables", "FileSystem.device", "FileSystem.layers", "FileSystem.memory_below", "FileSystem.mount",
    "FileSystem.options", "Metrics.invalid_reasons", "Metrics.straggler_node",
    "Metrics.warnings", "Node.name", "RankPlace.node",
}  # fmt: skip
"""Texts of a record that may name hosts, servers, paths or samples. The tests below show that they are replaced."""

NAMELESS = {
    "AccuracyVerdict.engine_sha256", "AccuracyVerdict.masks_sha256", "Cell.cache", "Cell.engine", "Cell.mode",
    "Cell.reader", "Cell.storage", "Check.name",
    "EngineDescription.precision", "Environment.allocator", "Environment.code_sha256",
    "Environment.container", "Environment.date", "Environment.git_commit", "Environment.mpi",
    "Environment.packages", "Environment.python", "Environment.version", "FileSystem.caveat", "FileSystem.model",
    "FileSystem.read_ahead_kb", "FileSystem.rotational", "FileSystem.scheduler", "FileSystem.type",
    "Metrics.precision", "Node.cpu", "Node.driver", "Node.governor", "Node.gpus", "Node.isa", "Node.kernel",
    "Node.machine_lock", "Node.read_limits", "Node.transparent_huge_pages", "RankPlace.device",
    "RankPlace.engine_sha256", "RankPlace.scheduling", "RankRun.batch_interval_nanoseconds", "RankRun.batch_samples",
    "RankRun.sample_counts", "RankRun.sample_numbers", "RankRun.thread_cores", "Record.digest",
}  # fmt: skip
"""Texts that name nobody."""

SITE = {
    "mount": "/mnt/secret", "type": "nfs4", "device": "secret-nas:/export/a b", "caveat": "",
    "options": "rw,vers=4.2,rsize=1048576,proto=tcp,addr=10.0.0.7,clientaddr=10.0.0.8,username=secret,hard",
    "memory_below": "loop0 reads /mnt/secret/image", "layers": ["loop0 (/mnt/secret/image)"],
}  # fmt: skip


def is_text(field):
    if field.get("type") == "string":
        return not {"enum", "const"} & field.keys()
    kinds = [*field.get("anyOf", []), field.get("items"), field.get("additionalProperties")]
    return any(is_text(kind) for kind in kinds if isinstance(kind, dict) and kind)


def test_every_text_of_a_record_is_known_to_name_somebody_or_nobody():
    schema = Record.model_json_schema()
    models = {"Record": schema, **schema["$defs"]}
    texts = {
        f"{model}.{name}"
        for model, described in models.items()
        for name, field in described.get("properties", {}).items()
        if is_text(field)
    }
    new = texts - NAMED - NAMELESS
    assert not new, f"let report/anonymised.py replace {new} and add it to NAMED, or add it to NAMELESS"
    assert texts >= NAMED | NAMELESS


def record(*names, **environment):
    """A record of nodes with these names and the site's storage; its cell, samples and checks have texts to replace."""
    made = cell_content(mode="inference", engine="eager-fp32", ranks=2 * len(names))
    made["engine"]["accuracy"] = [verdict()]
    made["environment"] |= environment
    made["environment"]["nodes"] = [node(name, file_system=SITE, kernel="6.1.2.3") for name in names]
    for number, place in enumerate(made["environment"]["ranks"]):
        place["node"] = names[number // 2]
    made["dataset"]["source"] = "/mnt/secret/our samples"
    found = judged(made)
    failed = found.checks[0].model_copy(
        update={"ok": False, "actual": f"{names[0]} and 10.1.2.3 read /mnt/secret/x/y, not ext4"}
    )
    return judged(made, [failed, *found.checks[1:]])


def replaced(*records):
    names = Anonymiser(records)
    return [names.record(one) for one in records]


def test_a_record_names_nobody_and_keeps_its_numbers():
    variables = {"LD_PRELOAD": "/opt/secret/a.so:/opt/b.so", "OMP_NUM_THREADS": "2"}
    [made] = replaced(record("secret-host", variables=variables))
    text = made.model_dump_json()
    assert "secret" not in text and "10.0.0" not in text and "10.1.2.3" not in text and "/opt" not in text
    system = made.environment.nodes[0].file_system
    assert (system.mount, system.device) == ("/path-4", "device-1")
    assert system.options == "rw,vers=4.2,rsize=1048576,proto=tcp,hard"
    assert made.environment.nodes[0].name == made.environment.ranks[0].node == made.metrics.straggler_node == "node-1"
    assert made.dataset.source == "/path-1"
    assert made.environment.variables == {"LD_PRELOAD": "/path-2:/path-3", "OMP_NUM_THREADS": "2"}
    assert made.checks[0].actual == "node-1 and address-1 read /path-6, not ext4"
    assert "node-1 and address-1 read /path-6, not ext4" in made.metrics.invalid_reasons
    before = record("secret-host")
    assert made.metrics.samples_per_second == before.metrics.samples_per_second
    assert (made.environment.nodes[0].kernel, made.cell) == ("6.1.2.3", before.cell)
    assert made.runs[0].ranks[0].part_seconds == before.runs[0].ranks[0].part_seconds


def test_equal_names_stay_equal_and_different_ones_different():
    made = replaced(record("node-2", "node-1"), record("node-1"))
    assert [[node.name for node in one.environment.nodes] for one in made] == [["node-1", "node-2"], ["node-2"]]
    assert made[0].environment.ranks[-1].node == "node-2"
    assert made[1].checks[0].actual.startswith("node-2 and address-1")


def test_a_node_without_a_name_changes_no_text():
    [made] = replaced(record(""))
    assert (made.environment.nodes[0].name, made.environment.nodes[0].cpu) == ("", "x")


def test_names_of_samples_stay_if_they_are_those_of_the_archive():
    content = record("n").model_dump(mode="json")
    renamed = json.loads(json.dumps(content).replace('"a.npy"', '"data-1996-06-01-00-0.npy"'))
    [made] = replaced(Record.model_validate_json(json.dumps(renamed)))
    assert made.dataset.samples == ["data-1996-06-01-00-0.npy", *(f"data-sample-{n}.npy" for n in (1, 2, 3))]


def test_packed_numbers_stay_and_names_of_unknown_samples_do_not():
    content = cell_content()
    content["runs"][0]["ranks"][0] |= {
        "batch_interval_nanoseconds": "u4:A+/AbcAA+/A=",  # looks like paths
        "unknown_samples": {"secret.npy": 1},
    }
    [made] = replaced(judged(content))
    rank = made.runs[0].ranks[0]
    assert rank.batch_interval_nanoseconds == "u4:A+/AbcAA+/A="
    assert rank.unknown_samples == {"data-sample-5.npy": 1}


@pytest.mark.parametrize("device", ["/dev/vda", "/dev/nvme0n1p2", "/dev/sdb1", "/dev/md0", "overlay", ""])
def test_a_device_that_the_kernel_named_stays(device):
    made = record("n").model_dump(mode="json")
    made["environment"]["nodes"][0]["file_system"] |= {"device": device, "type": "overlay", "mount": "/"}
    [made] = replaced(Record.model_validate_json(json.dumps(made)))
    assert (made.environment.nodes[0].file_system.device, made.environment.nodes[0].file_system.mount) == (device, "/")


@pytest.mark.parametrize("device", ["/dev/mapper/secret-lv", "tank/secret", "10.0.0.7@tcp:/secret", "secret@host:/x"])
def test_any_other_device_is_replaced(device):
    made = record("n").model_dump(mode="json")
    made["environment"]["nodes"][0]["file_system"]["device"] = device
    [made] = replaced(Record.model_validate_json(json.dumps(made)))
    assert made.environment.nodes[0].file_system.device == "device-1"


def test_a_configuration_names_nobody_and_is_still_one():
    mine = {
        "data": {"source": "https://secret.example/samples", "dir": "/mnt/secret/fast"},
        "model": {"parts": "../secret"},
        "benchmark": {"launcher": "/opt/secret/mpirun --host secret-host,10.0.0.1 -n {ranks}", "runs": 7},
        "cluster": {"account": "secret", "partition": "secret"},
    }
    made = Anonymiser([record("secret-host")]).config(config.parse(mine))
    assert config.parse(made.model_dump(mode="json", exclude_none=True)) == made
    assert "secret" not in made.model_dump_json()
    assert made.data.source == "https://address-1.invalid" and made.benchmark.runs == 7
    assert made.benchmark.launcher == "/path-3 --host node-1,address-2 -n {ranks}"
    local = Anonymiser([]).config(config.parse({"data": {"source": "/mnt/secret"}}))
    assert (local.data.source, local.data.dir, local.model.parts) == ("/path-1", paths.DATA, "share")


def test_a_description_of_a_dataset_has_no_paths():
    theirs = dataset().model_copy(update={"source": "/mnt/secret"})
    sample = theirs.samples[0].model_copy(update={"data": Path("/mnt/secret/data-secret.npy")})
    made = Anonymiser([]).dataset(theirs.model_copy(update={"samples": (sample,)}))
    assert (made.source, made.samples[0].data, made.samples[0].label) == (
        "/path-1", Path("data-sample-1.npy"), Path("label-sample-1.npy"),
    )  # fmt: skip
    assert made.channels == theirs.channels


@pytest.fixture
def program(monkeypatch):
    """The program, which makes no report: a file stands for it."""

    def run(source, output):
        monkeypatch.setattr("sys.argv", ["anonymise_bundle", str(source), "--output", str(output)])
        monkeypatch.setattr(anonymise_bundle, "_make_report", report)
        anonymise_bundle.main()

    def report():
        assert not Path(paths.CONFIG).exists()  # Snakemake would not write it again
        Path(paths.CONFIG).write_text(Path("config.yaml").read_text())
        Path(paths.SUMMARY_PAGE).write_text("page")
        Path("results/logs").mkdir()
        Path("results/logs/secret.log").write_text("")

    return run


def packed(folder, **config):
    """A bundle of records, as `make bundle` makes it, but with a secret in each kind of file that is left out."""
    results = write(folder, {cell: [measured(cell, nodes=[node("secret-host")])] for cell in GRID[:2]}, config)
    (results / "data").mkdir()
    dataset().write(results / "data/dataset.json")
    (results / "predictions.npz").write_text("secret")
    (results / "summary.html").write_text("secret-host")
    with tarfile.open(folder / "bundle.tar.gz", "w:gz") as archive:
        archive.add(results, "deepcam-bundle/results")
        archive.add(results / "predictions.npz", "deepcam-bundle/share/model_part_aa")
    return folder / "bundle.tar.gz"


def test_an_anonymised_bundle_has_the_results_only_and_can_be_compared(program, tmp_path):
    mine = packed(tmp_path, data={"dir": "/mnt/secret"})
    program(mine, tmp_path / "theirs.tar.gz")
    with tarfile.open(tmp_path / "theirs.tar.gz") as archive:
        names = {member.name.removeprefix("deepcam-bundle/"): archive.extractfile(member).read() for member in archive}
    records = {f"results/benchmark/{cell.id}/0.json" for cell in GRID[:2]}
    others = {paths.CONFIG, paths.SUMMARY_PAGE, "results/data/dataset.json", "config/bundle.yaml", "results.sha256"}
    assert names.keys() == {*records, *others, "REPRODUCE.md"}
    assert not [name for name, content in names.items() if b"secret" in content]
    assert yaml.safe_load(names["config/bundle.yaml"])["data"]["dir"] == "/path-1"
    before, after = sides.read(mine), sides.read(tmp_path / "theirs.tar.gz")
    assert [one.metrics.samples_per_second for one in before.all_records()] == [
        one.metrics.samples_per_second for one in after.all_records()
    ]


def test_the_same_bundle_gives_the_same_bytes(program, tmp_path):
    mine = packed(tmp_path)
    for name in ("one", "two"):
        program(mine, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_archive_that_is_no_bundle_of_this_workflow_is_refused_in_one_line(program, tmp_path):
    results = write(tmp_path, {GRID[0]: [measured(GRID[0])]})
    with pytest.raises(InputError, match=r"b\.tar\.gz: has no results/config\.yaml; give a bundle that make bundle"):
        program(bundle(tmp_path / "b.tar.gz", results), tmp_path / "out")
    assert not (tmp_path / "out").exists()
