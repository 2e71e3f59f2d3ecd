# DeepCAM inference and IO benchmark. Start here: README.md; the grid and all settings: config/config.yaml.
from snakemake.utils import min_version

min_version("9.0")


configfile: os.path.join(workflow.basedir, "config/config.yaml")


include: "rules/common.smk"


report: "share/report/workflow.rst"


# Seconds each, and one needs the network, which compute nodes may lack: not worth a wait in a cluster's queue.
localrules:
    all,
    data,
    engines,
    tables,
    figures,
    train,
    fetch_file_index,
    assemble_model,
    split_model,
    list_records,
    aggregate_results,
    plot_io_throughput,
    plot_inference_throughput,


onstart:
    if list(workflow.dag_settings.targets) != ["plan"]:  # that, like a dry run, may be for another machine
        check_packages()
        check_devices()


wildcard_constraints:
    shard=r"\d{5}",
    engine=r"[a-z0-9-]+",
    device=r"cpu|cuda\d+",
    cell=r"[a-z0-9_-]+",
    repeat=r"\d+",


include: "rules/data.smk"
include: "rules/model.smk"
include: "rules/benchmark.smk"
include: "rules/report.smk"
include: "rules/plan.smk"


rule all:
    "Everything: the data, and tables and figures of the whole grid."
    default_target: True
    input:
        rules.data.input,
        rules.tables.input,
        rules.figures.input,
