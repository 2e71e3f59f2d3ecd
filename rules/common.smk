# Functions that the rules share: from the configuration to cells, paths and devices. No rules here.
import glob
import sys

SCRIPTS = os.path.join(workflow.basedir, "workflow_scripts")
sys.path.insert(0, SCRIPTS)
# Programs of the environment that Snakemake runs in are found without activating it.
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]

from deepcam import climate, configuration, grid, parts


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

DATA = config["data"]["dir"]
SHARDS = grid.shard_ids(config["data"]["num_files"], config["data"]["files_per_shard"])
ENGINES = {grid.engine_name(engine): engine for engine in config["engines"]}
HDF5 = f"{DATA}/hdf5/{'synthetic' if config['data']['source'] == 'synthetic' else 'archive'}"
ENVIRONMENT = "../envs/cpu.yaml" if config["devices"] == "cpu" else "../envs/gpu.yaml"


def devices():
    """Names of the devices that engines are compiled for: cpu, or cuda0, cuda1, ..."""
    if config["devices"] == "cpu":
        return ["cpu"]
    if config["devices"] != "auto":
        return [f"cuda{index}" for index in config["devices"]]
    # Importing torch to ask would cost every start of the workflow seconds.
    found = sorted(int(path.removeprefix("/dev/nvidia")) for path in glob.glob("/dev/nvidia[0-9]*"))
    return [f"cuda{index}" for index in found] or ["cpu"]


def engine_files(engine):
    """Artefacts of an engine, one per device; none for a cell without an engine."""
    if engine == grid.NONE:
        return []
    return [f"results/model/engines/{engine}/{device}.pt2" for device in devices()]


def records():
    """The records of the whole grid. All cells once, then all again: drift hits them alike."""
    return [
        f"results/benchmark/{cell}/{repeat}.json" for repeat in range(config["benchmark"]["repeats"]) for cell in CELLS
    ]
