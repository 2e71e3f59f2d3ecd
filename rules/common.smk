# Functions that the rules share: from the configuration to cells, paths and devices. No rules here.
import sys

sys.path.insert(0, os.path.join(workflow.basedir, "workflow_scripts"))
# The rules' programs run as modules, with the interpreter beside Snakemake's unless a deployed environment comes first.
os.environ.update(
    PYTHONPATH=sys.path[0],
    PATH=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
)

from deepcam import climate, configuration, environment, grid, parts


def refuse(error):
    """End at once with one line: bad input is known before any job exists."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


try:
    configuration.validate(config, os.path.join(workflow.basedir, "config/schemas/config.schema.json"))
    NUM_FILES = climate.sample_count(*(config["data"][key] for key in ("source", "split", "num_files")))
    CELLS = {cell.id: cell for cell in grid.cells(config | {"data": config["data"] | {"num_files": NUM_FILES}})}
    PARTS_FOLDER = os.path.join(workflow.basedir, config["model"]["parts"])
    MODEL_PARTS = parts.listed(PARTS_FOLDER)
except climate.InputError as error:
    refuse(error)

DATA = config["data"]["dir"]
SHARDS = grid.shard_ids(NUM_FILES, config["data"]["files_per_shard"])
ENGINES = {grid.engine_name(engine): engine for engine in config["engines"]}
HDF5 = f"{DATA}/hdf5/{'synthetic' if config['data']['source'] == 'synthetic' else 'archive'}"
NPY_MANIFESTS = [f"{DATA}/npy/shard-{shard}/manifest.tsv" for shard in SHARDS]
ENVIRONMENT = "../envs/cpu.yaml" if config["devices"] == "cpu" else "../envs/gpu.yaml"


def devices():
    """Names of the devices that engines are compiled for: cpu, or cuda0, cuda1, ..."""
    if config["devices"] == "cpu":
        return ["cpu"]
    if config["devices"] != "auto":
        return [f"cuda{index}" for index in config["devices"]]
    return [f"cuda{index}" for index in environment.gpu_indices()] or ["cpu"]


def engine_files(engine):
    """Artefacts of an engine, one per device; none for a cell without an engine."""
    if engine == grid.NONE:
        return []
    return [f"results/model/engines/{engine}/{device}.pt2" for device in devices()]


def cell_of(wildcards):
    """The grid's cell that a job's id names."""
    return CELLS[wildcards.cell]


def records():
    """The records of the whole grid. All cells once, then all again: drift hits them alike."""
    return [
        f"results/benchmark/{cell}/{repeat}.json" for repeat in range(config["benchmark"]["repeats"]) for cell in CELLS
    ]
