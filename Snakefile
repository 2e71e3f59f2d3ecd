# DeepCAM inference and I/O benchmark. Start with README.md; all settings are in config/config.yaml.
from snakemake.utils import min_version

# The first version that reads profiles named profile.yaml.
min_version("9.19")


include: "rules/checkout.smk"


# Not workflow.basedir, which is another folder if a workflow imports this one as a module.
ROOT = checkout(workflow.current_basedir)


configfile: f"{ROOT}/config/config.yaml"


include: f"{ROOT}/rules/common.smk"


report: f"{ROOT}/share/report/workflow.rst"


onstart:
    launch.hold_run_lock()
    # Not earlier: a dry run may be for another machine.
    if not REPORT_ONLY:
        check_packages()
        check_devices()


onerror:
    print(*failures.lines(log), sep="\n", file=sys.stderr)


wildcard_constraints:
    shard=r"\d{5}",
    engine=r"[a-z0-9-]+",
    device=r"cpu|cuda\d+",
    group=r"nodes-\d+",


include: f"{ROOT}/rules/report_items.smk"
include: f"{ROOT}/rules/report.smk"


if not REPORT_ONLY:

    include: f"{ROOT}/rules/data.smk"
    include: f"{ROOT}/rules/model.smk"
    include: f"{ROOT}/rules/benchmark.smk"


rule all:
    "Make everything: data, records, tables and figures of the whole grid. Deleted records are measured again."
    default_target: True
    input:
        [] if REPORT_ONLY else rules.data.input,
        measured(ROUNDS),
        rules.tables.input,
        rules.figures.input,
    localrule: True
