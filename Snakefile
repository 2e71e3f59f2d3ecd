# DeepCAM inference and IO benchmark. Start here: README.md; the grid and all settings: config/config.yaml.
from snakemake.utils import min_version

min_version("9.0")


configfile: os.path.join(workflow.basedir, "config/config.yaml")


include: "rules/common.smk"


report: "share/report/workflow.rst"


onstart:
    # Not earlier: a dry run, like a plan, may be for another machine.
    if not REPORT_ONLY and list(workflow.dag_settings.targets) != ["plan"]:
        check_packages()
        check_devices()


wildcard_constraints:
    shard=r"\d{5}",
    engine=r"[a-z0-9-]+",
    device=r"cpu|cuda\d+",
    cell=r"[a-z0-9_-]+",
    repeat=r"\d+",


include: "rules/report.smk"


if not REPORT_ONLY:

    include: "rules/data.smk"
    include: "rules/model.smk"
    include: "rules/benchmark.smk"
    include: "rules/plan.smk"


rule all:
    "Everything: the data, and tables and figures of the whole grid. Records that were deleted are measured again."
    default_target: True
    input:
        [] if REPORT_ONLY else rules.data.input,
        measured(records()),
        rules.tables.input,
        rules.figures.input,
    localrule: True
