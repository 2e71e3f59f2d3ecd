# The measurements: one MPI job per start of a cell, and never two at once on a machine.

# The network, for modes that train it.
NETWORK = (
    f"--width-multiplier {settings.model.width_multiplier} --channels {' '.join(map(str, settings.model.channels))}"
)


rule run_benchmark:
    "Measure one cell of the grid."
    input:
        dataset=DATASET,
        engines=lambda wildcards: for_devices(paths.engine, cell_of(wildcards).engine),
        fingerprints=lambda wildcards: for_devices(paths.fingerprint, cell_of(wildcards).engine),
        accuracy=lambda wildcards: for_devices(paths.accuracy, cell_of(wildcards).engine),
    output:
        paths.record("{cell}", "{start}"),
    log:
        paths.log("run_benchmark/{cell}/{start}"),
    # All cells once before any is measured again: drift of the machine affects all alike.
    priority: lambda wildcards: -int(wildcards.start)
    # Occasionally, in one of hundreds of jobs, a launcher fails to start.
    retries: 1
    conda:
        ENVIRONMENT
    resources:
        **DEVICE_JOB,
        # One per machine: see profiles/.
        benchmark_slot=1,
        # The command that starts the ranks. Executors of clusters know it by this name, and place its tasks on nodes.
        mpi=lambda wildcards: launch.launcher(settings, cell_of(wildcards).ranks, on_cluster()),
        tasks=lambda wildcards: cell_of(wildcards).ranks,
        nodes=lambda wildcards: launch.node_count(cell_of(wildcards).ranks, settings.benchmark.ranks_per_node),
        # Not a param: another limit is no reason to measure again.
        timeout_seconds=settings.benchmark.timeout_seconds,
    params:
        # Not compared with that of an earlier run, but it follows from the record's path.
        cell=cell_of,
        batch_size=lambda wildcards: cell_of(wildcards).ranks * cell_of(wildcards).local_batch_size,
        devices=[launch.torch_device(device) for device in DEVICES],
        engines=lambda wildcards, input: ["--engine-files", *input.engines] if input.engines else [],
        accuracy=lambda wildcards, input: ["--accuracy-files", *input.accuracy] if input.accuracy else [],
        network=lambda wildcards: NETWORK if grid.MODES[cell_of(wildcards).mode].trains else "",
        warmup_runs=settings.benchmark.warmup_runs,
        runs=lambda wildcards: settings.benchmark.of_mode(cell_of(wildcards).mode).runs,
        min_seconds=settings.benchmark.min_seconds,
        drop=lambda wildcards: (
            "--drop-fs-cache" if launch.drops_caches(cell_of(wildcards), settings.benchmark.drop_caches) else ""
        ),
        shuffle={"none": "", "rank": "--shuffle", "global": "--global-shuffle"}[settings.benchmark.shuffle],
    shell:
        # In the foreground, so that Ctrl-C reaches the ranks.
        "timeout --foreground --kill-after=30 {resources.timeout_seconds}"
        " {resources.mpi} python -m mpi4py -m run_benchmark --dataset {input.dataset:q} --outputfile {output:q}"
        " --mode {params.cell.mode} --reader {params.cell.reader} --cache {params.cell.cache}"
        " --devices {params.devices} --engine {params.cell.engine} {params.engines:q}"
        " {params.accuracy:q} {params.network}"
        " --ranks {params.cell.ranks} --batch-size {params.batch_size}"
        " --max-inter-threads {params.cell.inter_threads} --max-intra-threads {params.cell.intra_threads}"
        " --num-warmup-runs {params.warmup_runs} --num-runs {params.runs} --min-seconds {params.min_seconds}"
        " {params.drop} {params.shuffle} > {log} 2>&1"
        " || {{ code=$?; [ $code != 124 ] || echo 'error: the job took longer than {resources.timeout_seconds} s;"
        " see benchmark.timeout_seconds' >> {log}; exit $code; }}"
