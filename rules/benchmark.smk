# The measurements: one job per group of cells, which starts them in rounds, and never two at once on a machine.


rule run_rounds:
    "Measure a group of cells in rounds, each start in fresh processes, until their numbers are precise."
    input:
        datasets=DATASETS,
        engines=lambda wildcards: of_group(paths.engine, wildcards.group),
        fingerprints=lambda wildcards: of_group(paths.fingerprint, wildcards.group),
        accuracy=lambda wildcards: of_group(paths.accuracy, wildcards.group),
        judged_masks=lambda wildcards: of_group(paths.judged_masks, wildcards.group),
        # Any change of it starts this job, which measures only what the records do not have.
        config=rules.write_config.output,
    output:
        # The records themselves are not declared: they are written one by one, and kept if this job is interrupted.
        paths.rounds("{group}"),
    log:
        paths.log("run_rounds/{group}"),
    conda:
        ENVIRONMENT
    resources:
        **DEVICE_JOB,
        # One per machine: see profiles/.
        benchmark_slot=1,
        # The command that starts the ranks. Executors of clusters know it by this name, and place its tasks on nodes.
        mpi=lambda wildcards: launch.launcher(settings, ranks_of(wildcards.group), on_cluster()),
        tasks=lambda wildcards: ranks_of(wildcards.group),
        nodes=lambda wildcards: grid.node_count(ranks_of(wildcards.group), settings.benchmark.ranks_per_node),
    shell:
        # In the foreground, so that Ctrl-C reaches the ranks. What it says of its progress goes to the terminal.
        "python -m run_rounds --group {wildcards.group} --config {input.config:q} --datasets {input.datasets:q}"
        " --launcher={resources.mpi:q} --output {output:q} 2> {log}"
