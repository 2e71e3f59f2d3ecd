# What the rules share: the configuration, the grid's cells, devices and environments. No rules here.
import atexit
import itertools
import sys
from pathlib import Path

# The rules' programs run as modules, with the interpreter beside Snakemake's unless a deployed environment comes first.
sys.path.insert(0, f"{ROOT}/workflow_scripts")
for variable, place in (("PYTHONPATH", sys.path[0]), ("PATH", os.path.dirname(sys.executable))):
    os.environ[variable] = os.pathsep.join([place, *filter(None, [os.environ.get(variable)])])
# Without it, mpirun does not start.
os.environ.setdefault("HOME", os.path.expanduser("~"))

from deepcam import config as configuration
from deepcam import grid, launch, machine, paths
from deepcam.benchmark import readers
from deepcam.benchmark.readers import cufile
from deepcam.config import file as config_file
from deepcam.data import local_source
from deepcam.errors import InputError
from deepcam.model import engine_spec, split_file
from deepcam.record import rounds, run_records
from deepcam.plan import dry_run
from deepcam.report import contents, failures

# Nothing is measured, and no device is needed: only tables, figures and report are made, from the existing records.
REPORT_ONLY = os.environ.get("DEEPCAM_REPORT_ONLY", "") != ""


def stop(error):
    """End with one line per mistake, and with the status that wrong arguments have: no job has started."""
    for line in error.lines:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


if problem := "have :, which separates the folders in PATH" if ":" in ROOT else paths.problem(ROOT):
    stop(InputError(f"{ROOT}: the path of this checkout must not {problem}"))

try:
    if ROOT == os.fspath(workflow.basedir):
        # Snakemake has merged these already, but in a way that lets a default of one mode win over an overlay.
        overlays = workflow.config_settings.configfiles
        layers = [config_file.load(Path(file)) for file in (f"{ROOT}/config/config.yaml", *overlays)]
        layers.append(workflow.config_settings.config)
    else:
        layers = [config]  # a workflow that imports this one may write its files as it likes
    settings = configuration.parse(*layers)
    DEVICES = launch.device_names(settings.devices)
    CELLS = {cell.id: cell for cell in grid.cells(settings)}
    PARTS_FOLDER = os.path.join(ROOT, settings.model.parts)
    MODEL_PARTS = split_file.part_paths(PARTS_FOLDER)
    if not REPORT_ONLY:
        for engine, device in itertools.product(settings.engines, DEVICES):
            engine_spec.check_device(engine, device)
        grid.check_devices(CELLS.values(), DEVICES)
    LOCAL = paths.is_local(settings.data.source)
    # npy files that belong to somebody else are read where they are: nothing is converted.
    NPY_IN_PLACE = LOCAL and not REPORT_ONLY and local_source.kind(settings.data.source, settings.data.split) == "npy"
except InputError as error:
    stop(error)

# With all defaults, as text that YAML and JSON can hold.
COMPLETE_CONFIG = settings.model_dump(mode="json", exclude_none=True)


def write_outline(path, folder):
    """Write what a dry run in this folder is about. Without jobs, it was no dry run."""
    if workflow.dag is not None:
        jobs = [
            dry_run.Job(job.rule.name, job.wildcards_dict) for job in workflow.dag.jobs if workflow.dag.needrun(job)
        ]
        dry_run.write_outline(path, COMPLETE_CONFIG, folder, jobs)


# `make plan` asks for it. Snakemake has the jobs once the rules are read, but calls nothing of ours in a dry run.
if outline := os.environ.get(dry_run.OUTLINE_VARIABLE):
    atexit.register(write_outline, outline, os.getcwd())

PLACES = {
    name: paths.data(folder, settings.data.source, settings.data.split) for name, folder in settings.data.places.items()
}
# The samples are made at the first place, and copied to the others.
DATA = next(iter(PLACES.values()))
COPIES = {name: folder for name, folder in PLACES.items() if folder != DATA}
DATASET = paths.dataset(DATA)
DATASETS = list(map(paths.dataset, PLACES.values()))
if REPORT_ONLY and not os.path.exists(DATASET):
    DATASET = paths.dataset(paths.DATA)  # a bundle has the description of data that it does not have
ORIGIN = "local" if LOCAL else "synthetic" if settings.data.source == "synthetic" else "archive"
SHARDS = grid.shard_ids(settings.data.num_samples, settings.data.files_per_shard)
NPY_MANIFESTS = [paths.npy_manifest(DATA, shard) for shard in SHARDS]
GROUPS = grid.groups(CELLS.values(), settings.benchmark.ranks_per_node)
ROUNDS = [paths.rounds(group) for group in GROUPS]
# Named places that are read; their comparison is a table of its own.
STORAGES = {cell.storage for cell in CELLS.values()} - {""}
MAX_BATCH = max(cell.local_batch_size for cell in CELLS.values())
ENGINES = {engine.name: engine for engine in settings.engines}
# What is built: an engine of the configuration, or those that it is chosen from.
CANDIDATES = {
    (engine.name, device): engine_spec.candidates(engine, device) for engine in settings.engines for device in DEVICES
}
BUILT = {one.name: one for candidates in CANDIDATES.values() for one in candidates}
# Engines that no cell uses are built on request only.
ENGINES_USED = sorted({cell.engine for cell in CELLS.values()} - {grid.NONE})
ENVIRONMENT = "../envs/cpu.yaml" if settings.devices == "cpu" else "../envs/gpu.yaml"
PLAIN_JOB = launch.plain_job(settings.cluster)
DEVICE_JOB = launch.device_job(settings.cluster, DEVICES)


def on_cluster():
    """Whether jobs run on other machines: this Snakemake submits them, or is in one. Known only once jobs start."""
    return workflow.remote_exec or not workflow.local_exec


def check_packages():
    """Stop if this environment lacks packages of engines or readers. A deployed environment has its own."""
    if workflow.deployment_settings.deployment_method:
        return
    try:
        engine_spec.check_packages(settings.engines)
        readers.check_packages(cell.reader for cell in CELLS.values())
    except InputError as error:
        stop(error)


def check_devices():
    """Stop if the devices or the temporary folder cannot do what is configured."""
    try:
        if on_cluster():
            grid.check_cluster(settings.devices, settings.benchmark.ranks_per_node)
        else:
            grid.check_training(CELLS.values(), DEVICES)
            if any(cell.reader == "dali-gds" for cell in CELLS.values()):
                cufile.check()
            for engine, device in itertools.product(settings.engines, DEVICES):
                engine_spec.check_precision(engine.precision, device)
            if any(engine.backend == "aotinductor" for engine in BUILT.values()):
                engine_spec.check_temporary_folder()
    except InputError as error:
        stop(error)


def machine_identity(wildcards):
    """The machine that an engine is built for. Empty on a cluster, where this may be a login node; there, the machine is
    checked when the engine is loaded."""
    return "" if on_cluster() else machine.identity(wildcards.device)


def ranks_of(group):
    """The most ranks that a cell of a group has."""
    return max(cell.ranks for cell in GROUPS[group])


def for_devices(path, engine):
    """The paths that `path` gives an engine's files, one per device."""
    return [path(engine, device) for device in DEVICES]


def candidates(path, wildcards):
    """The paths that `path` gives the engines from which an engine is chosen."""
    return [path(one.name, wildcards.device) for one in CANDIDATES[wildcards.engine, wildcards.device]]


def of_group(path, group):
    """The paths that `path` gives the files of the engines of a group's cells, one per engine and device."""
    engines = sorted({cell.engine for cell in GROUPS[group]} - {grid.NONE})
    return [file for engine in engines for file in for_devices(path, engine)]


def write_list(path, cells, min_starts):
    """Write the paths of the records of a run of these cells, one per line."""
    Path(path).write_text("".join(f"{record}\n" for record in run_records.listing(cells, min_starts)))


def existing_records():
    """The records of the grid's cells that exist."""
    return run_records.listing(CELLS, min_starts=0)


def forget_incomplete_rounds():
    """Remove the rounds files of groups that lack a record or a cell, so that Snakemake measures what is missing."""
    for group, cells in GROUPS.items():
        if not rounds.is_complete(Path(paths.rounds(group)), cells):
            Path(paths.rounds(group)).unlink(missing_ok=True)


if not REPORT_ONLY:
    forget_incomplete_rounds()


def measured(outputs):
    """Outputs that take long to make. For a report they are not made: only those that exist are used."""
    return [path for path in outputs if os.path.exists(path)] if REPORT_ONLY else outputs
