# Functions that the rules share: from the configuration to cells, paths and devices. No rules here.
import hashlib
import itertools
import json
import re
import sys
from pathlib import Path

import yaml

sys.path.insert(0, os.path.join(workflow.basedir, "workflow_scripts"))
# The rules' programs run as modules, with the interpreter beside Snakemake's unless a deployed environment comes first.
for variable, place in (("PYTHONPATH", sys.path[0]), ("PATH", os.path.dirname(sys.executable))):
    os.environ[variable] = os.pathsep.join([place, *filter(None, [os.environ.get(variable)])])

from deepcam import grid, machine
from deepcam import config as configuration
from deepcam.errors import InputError
from deepcam.model import engine_spec, split_file
from deepcam.report import bundle, contents

# Nothing is measured, and no device is needed: tables, figures and report of the records that there are.
REPORT_ONLY = os.environ.get("DEEPCAM_REPORT_ONLY", "") != ""


def refuse(error):
    """End at once with one line per mistake: bad input is known before any job exists."""
    for line in error.lines:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1)


def device_names():
    """Names of the devices that engines are compiled for and benchmarks run on: cpu, or cuda0, cuda1, ..."""
    if config["devices"] == "cpu":
        return ["cpu"]
    if config["devices"] != "auto":
        return [f"cuda{index}" for index in config["devices"]]
    return [f"cuda{index}" for index in machine.gpu_indices()] or ["cpu"]


try:
    settings = configuration.parse(config)
    config.update(settings.model_dump(mode="json"))
    DEVICES = device_names()
    NUM_FILES = settings.data.num_samples
    CELLS = {cell.id: cell for cell in grid.cells(settings)}
    PARTS_FOLDER = os.path.join(workflow.basedir, config["model"]["parts"])
    MODEL_PARTS = split_file.part_paths(PARTS_FOLDER)
    SPECS = settings.engines
    if not REPORT_ONLY:
        for spec, device in itertools.product(SPECS, DEVICES):
            engine_spec.check_device(spec, device)
        grid.check_devices(CELLS.values(), DEVICES)
except InputError as error:
    refuse(error)

DATA = config["data"]["dir"]
DATASET = f"{DATA}/dataset.json"
if REPORT_ONLY and not os.path.exists(DATASET):
    DATASET = bundle.DATASET  # of data that stayed elsewhere
SHARDS = grid.shard_ids(NUM_FILES, config["data"]["files_per_shard"])
ENGINES = {engine.name: engine for engine in settings.engines}
HDF5 = f"{DATA}/hdf5/{'synthetic' if config['data']['source'] == 'synthetic' else 'archive'}"
NPY_MANIFESTS = [f"{DATA}/npy/shard-{shard}/manifest.tsv" for shard in SHARDS]
MAX_BATCH = max(cell.local_batch_size for cell in CELLS.values())
# Of engines that no cell uses nothing is made, unless asked for.
ENGINES_USED = sorted({cell.engine for cell in CELLS.values()} - {grid.NONE})
ACCURACY = [f"results/accuracy/{engine}/{device}.json" for engine in ENGINES_USED for device in DEVICES]
PREDICTIONS = "results/predictions.npz"
ENVIRONMENT = "../envs/cpu.yaml" if config["devices"] == "cpu" else "../envs/gpu.yaml"

# What jobs ask a cluster for; no meaning on one machine. Empty: the cluster's own default. Jobs that use the devices take
# all of a node's, so that index 0 is the same GPU to each of them.
PLAIN_JOB = {
    "slurm_account": config["cluster"]["account"],
    "slurm_partition": config["cluster"]["partition"],
    "runtime": config["cluster"]["minutes"],
    "mem_mb": 4000,
}
DEVICE_JOB = PLAIN_JOB | {
    "mem_mb": 16000,
    "gres": "" if DEVICES == ["cpu"] else f"gpu:{len(DEVICES)}",
    "tasks_per_gpu": 0,
}


def engine_files(engine):
    """Artefacts of an engine, one per device; none for a cell without an engine."""
    if engine == grid.NONE:
        return []
    return [f"results/model/engines/{engine}/{device}.pt2" for device in DEVICES]


def accuracy_files(engine):
    """The accuracy gate's verdicts on an engine, one per device."""
    if engine == grid.NONE:
        return []
    return [f"results/accuracy/{engine}/{device}.json" for device in DEVICES]


def check_packages():
    """Refuse an engine that this environment lacks the packages for; a deployed environment has its own."""
    if workflow.deployment_settings.deployment_method:
        return
    try:
        engine_spec.check_packages(SPECS)
    except InputError as error:
        refuse(error)


def on_cluster():
    """Whether jobs run on other machines: this Snakemake submits them, or is in one. Known only once jobs start."""
    return workflow.remote_exec or not workflow.local_exec


def check_devices():
    """Refuse what devices cannot do, before any job."""
    try:
        if on_cluster():
            grid.check_cluster(settings.devices, settings.benchmark.ranks_per_node)
        else:
            for spec, device in itertools.product(SPECS, DEVICES):
                engine_spec.resolve_precision(spec.precision, device)
    except InputError as error:
        refuse(error)


def torch_device(device):
    """PyTorch's name of a device: cpu, or cuda:0, cuda:1, ..."""
    return device.replace("cuda", "cuda:")


def machine_identity(wildcards):
    """What an engine is bound to. Empty on a cluster: this may be a login node, and loading the engine compares."""
    return "" if on_cluster() else machine.identity(wildcards.device)


def cell_of(wildcards):
    """The grid's cell that a job's id names."""
    return CELLS[wildcards.cell]


def nodes(cell):
    """How many nodes of a cluster a cell takes."""
    return -(-cell.ranks // config["benchmark"]["ranks_per_node"])


def launcher(cell):
    """The command that starts a cell's ranks. On a cluster one rank starts by itself: Slurm's executor wants it so."""
    if not on_cluster():
        return config["benchmark"]["launcher"].replace("{ranks}", str(cell.ranks))
    if cell.ranks == 1:
        return ""
    on_a_node = -(-cell.ranks // nodes(cell))
    command = config["cluster"]["launcher"].replace("{ranks}", str(cell.ranks))
    return command.replace("{ranks_per_node}", str(on_a_node))


def network_options():
    """The network that cells of mode train train."""
    channels = " ".join(map(str, config["model"]["channels"]))
    return f"--width-multiplier {config['model']['width_multiplier']} --channels {channels}"


def drops_caches(cell):
    """Whether root's way of emptying caches is asked for in a cell."""
    return config["benchmark"]["drop_caches"] and cell.cache == "cold"


def figure(name):
    """A figure's files, of which the report shows two."""
    place = contents.FIGURES[name]

    def item(suffix, words=""):
        return report(
            f"results/figures/{name}.{suffix}",
            caption=f"../share/report/{name}.rst",
            category=place.category,
            labels={"figure": place.label + words},
        )

    return {"svg": item("svg"), "csv": item("csv", ": its data"), "png": f"results/figures/{name}.png"}


def table(name, label):
    """A table as a file for the report."""
    return report(
        f"results/tables/{name}.csv",
        caption=f"../share/report/{name}.rst",
        category="Tables",
        labels={"table": label},
    )


def figures(suffixes=("svg", "png", "csv")):
    """The figures that the grid has something for."""
    return [
        f"results/figures/{name}.{suffix}"
        for name in contents.figures(CELLS.values())
        if name != contents.PREDICTIONS or measured([PREDICTIONS])
        for suffix in suffixes
    ]


def measured(paths):
    """What jobs leave behind that cost time; of a report only, as far as it is there."""
    return [path for path in paths if os.path.exists(path)] if REPORT_ONLY else paths


def records():
    """The records of the whole grid."""
    return [
        f"results/benchmark/{cell}/{repeat}.json" for repeat in range(config["benchmark"]["starts"]) for cell in CELLS
    ]


def as_yaml(value):
    """By way of JSON: Snakemake's own kinds of dictionaries and strings are none that YAML knows."""
    return yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=False)


def indented(text, pattern):
    """What a pattern finds in the lines under a headline of Snakemake's log; empty where there is none."""
    found = re.search(rf"^    {pattern}", text, re.M)
    return found[1] if found else ""


def tell_failures(snakemake_logs):
    """What failed, where it says more, and what to do. In a long run with keep-going its errors are far above."""
    talk = "".join(Path(path).read_text() for path in snakemake_logs)
    told = {}
    for error in re.split(r"^Error in rule\b", talk, flags=re.M)[1:]:
        path = indented(error, r"log: ([^\s,]+)")
        if os.path.exists(indented(error, r"output: ([^\s,]+)")):  # it went well when it was tried again
            continue
        lines = list(filter(str.strip, Path(path).read_text().splitlines())) if os.path.exists(path) else []
        # The job's own words, or the executor's of a job that it could not submit or that was ended from outside.
        own = list(filter(re.compile(r"([\w-]+: )?error: ").match, lines))
        message = indented(error, r"message: (?!None$)(.*?)(?:For further error details|$)")
        told[path] = next(filter(None, [*own, message, *lines[-1:], "it said nothing"]))
    for path, words in told.items():
        print(f"failed: {path}: {words}", file=sys.stderr)
    print("What is done is kept: when the cause is gone, the same command does the rest.", file=sys.stderr)


onerror:
    tell_failures(log)
