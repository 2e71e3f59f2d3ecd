# Functions that the rules share: from the configuration to cells, paths and devices. No rules here.
import sys

sys.path.insert(0, os.path.join(workflow.basedir, "workflow_scripts"))
# The rules' programs run as modules, with the interpreter beside Snakemake's unless a deployed environment comes first.
for variable, place in (("PYTHONPATH", sys.path[0]), ("PATH", os.path.dirname(sys.executable))):
    os.environ[variable] = os.pathsep.join([place, *filter(None, [os.environ.get(variable)])])

from deepcam import climate, configuration, environment, grid, parts


def refuse(error):
    """End at once with one line: bad input is known before any job exists."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


try:
    configuration.validate(config, os.path.join(workflow.basedir, "config/schemas/config.schema.json"))
    CELLS = {cell.id: cell for cell in grid.cells(config)}
    PARTS_FOLDER = os.path.join(workflow.basedir, config["model"]["parts"])
    MODEL_PARTS = parts.listed(PARTS_FOLDER)
except climate.InputError as error:
    refuse(error)

if config["devices"] == "auto":
    DEVICES = [f"cuda{index}" for index in environment.gpu_indices()] or ["cpu"]
else:
    DEVICES = ["cpu"] if config["devices"] == "cpu" else [f"cuda{index}" for index in config["devices"]]
for cell in CELLS.values():
    if cell.reader in grid.GPU_READERS and DEVICES == ["cpu"]:
        refuse(f"benchmark.readers: {cell.reader} needs a GPU, and devices: {config['devices']} means the CPU")

DATA = config["data"]["dir"]
SHARDS = grid.shard_ids(config["data"]["num_files"], config["data"]["files_per_shard"])
ENGINES = {grid.engine_name(engine): engine for engine in config["engines"]}
HDF5 = f"{DATA}/hdf5/{'synthetic' if config['data']['source'] == 'synthetic' else 'archive'}"
ENVIRONMENT = "../envs/cpu.yaml" if config["devices"] == "cpu" else "../envs/gpu.yaml"


def device_name(device):
    """PyTorch's name of a device: cpu, cuda:0, cuda:1, ..."""
    return device.replace("cuda", "cuda:")


def engine_files(engine):
    """Artefacts of an engine, one per device; none for a cell without an engine."""
    if engine == grid.NONE:
        return []
    return [f"results/model/engines/{engine}/{device}.pt2" for device in DEVICES]


def cell_of(wildcards):
    """The grid's cell that a job's id names."""
    return CELLS[wildcards.cell]


def records():
    """The records of the whole grid. All cells once, then all again: drift hits them alike."""
    return [
        f"results/benchmark/{cell}/{repeat}.json" for repeat in range(config["benchmark"]["repeats"]) for cell in CELLS
    ]
