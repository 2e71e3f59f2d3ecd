# The measurements: one MPI job per cell and repeat, never two at once on a machine.


rule run_benchmark:
    "Measure one cell of the grid."
    input:
        dataset=DATASET,
        engines=lambda wildcards: engine_files(cell_of(wildcards).engine),
        fingerprints=lambda wildcards: [
            path.replace(".pt2", ".json") for path in engine_files(cell_of(wildcards).engine)
        ],
        accuracy=lambda wildcards: accuracy_files(cell_of(wildcards).engine),
    output:
        "results/benchmark/{cell}/{repeat}.json",
    log:
        "results/logs/run_benchmark/{cell}/{repeat}.log",
    # All cells once, then all again: drift of the machine hits all alike.
    priority: lambda wildcards: -int(wildcards.repeat)
    # Now and then a launcher fails to start, in one of hundreds of jobs.
    retries: 1
    conda:
        ENVIRONMENT
    resources:
        **DEVICE_JOB,
        # One on a machine: see profiles/.
        benchmark_slot=1,
        # What starts the ranks. Executors of clusters ask for it by this name, for tasks on nodes.
        mpi=lambda wildcards: launcher(cell_of(wildcards)),
        tasks=lambda wildcards: cell_of(wildcards).ranks,
        nodes=lambda wildcards: nodes(cell_of(wildcards)),
        # No param: another limit is no reason to measure again.
        timeout_seconds=config["benchmark"]["timeout_seconds"],
    params:
        cell=cell_of,
        batch_size=lambda wildcards: cell_of(wildcards).ranks * cell_of(wildcards).local_batch_size,
        devices=[torch_device(device) for device in DEVICES],
        engines=lambda wildcards, input: f"--engine-files {input.engines}" if input.engines else "",
        accuracy=lambda wildcards, input: f"--accuracy-files {input.accuracy}" if input.accuracy else "",
        network=lambda wildcards: network_options() if grid.MODES[cell_of(wildcards).mode].trains else "",
        warmup_runs=config["benchmark"]["warmup_runs"],
        runs=lambda wildcards: settings.benchmark.of_mode(cell_of(wildcards).mode).runs,
        min_seconds=config["benchmark"]["min_seconds"],
        drop=lambda wildcards: "--drop-fs-cache" if drops_caches(cell_of(wildcards)) else "",
        shuffle={"none": "", "rank": "--shuffle", "global": "--global-shuffle"}[config["benchmark"]["shuffle"]],
    shell:
        # In the foreground: Ctrl-C must reach the ranks.
        "timeout --foreground --kill-after=30 {resources.timeout_seconds}"
        " {resources.mpi} python -m mpi4py -m run_benchmark --dataset {input.dataset} --outputfile {output}"
        " --mode {params.cell.mode} --reader {params.cell.reader} --cache {params.cell.cache}"
        " --devices {params.devices} --engine {params.cell.engine} {params.engines}"
        " {params.accuracy} {params.network}"
        " --ranks {params.cell.ranks} --batch-size {params.batch_size}"
        " --max-inter-threads {params.cell.inter_threads} --max-intra-threads {params.cell.intra_threads}"
        " --num-warmup-runs {params.warmup_runs} --num-runs {params.runs} --min-seconds {params.min_seconds}"
        " {params.drop} {params.shuffle} > {log} 2>&1"
        " || {{ code=$?; [ $code != 124 ] || echo 'error: the job took longer than {resources.timeout_seconds} s;"
        " see benchmark.timeout_seconds' >> {log}; exit $code; }}"
