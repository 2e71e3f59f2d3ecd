# From records to tables and figures.


rule list_records:
    "The records of the grid, a path a line: a large grid does not fit into a command line."
    output:
        "results/benchmark/records.txt",
    log:
        "results/logs/list_records.log",
    params:
        records=records(),
    run:
        with open(output[0], "w") as file:
            file.writelines(f"{record}\n" for record in params.records)


rule aggregate_results:
    "One row per cell, the best valid cell per mode, reader and cache, and what storage many devices need."
    input:
        records=records(),
        list=rules.list_records.output,
    output:
        summary=report(
            "results/tables/summary.csv",
            caption="../share/report/summary.rst",
            category="Tables",
            labels={"table": "all cells"},
        ),
        parquet="results/tables/summary.parquet",
        best=report(
            "results/tables/best.csv",
            caption="../share/report/best.rst",
            category="Tables",
            labels={"table": "best valid cells"},
        ),
        sizing=report(
            "results/tables/sizing.csv",
            caption="../share/report/sizing.rst",
            category="Tables",
            labels={"table": "storage for many devices"},
        ),
    log:
        "results/logs/aggregate_results.log",
    conda:
        ENVIRONMENT
    shell:
        "python -m aggregate_results --records {input.list}"
        " --summary {output.summary} --parquet {output.parquet} --best {output.best} --sizing {output.sizing} > {log} 2>&1"


rule plot_io_throughput:
    "Read throughput over threads, per reader, with the raw reader as the ceiling."
    input:
        "results/tables/summary.parquet",
    output:
        svg=report(
            "results/figures/io_throughput.svg",
            caption="../share/report/io_throughput.rst",
            category="IO",
            labels={"figure": "throughput over threads"},
        ),
        png="results/figures/io_throughput.png",
    log:
        "results/logs/plot_io_throughput.log",
    conda:
        ENVIRONMENT
    shell:
        "python -m plot_throughput --mode io --summary {input} --svg {output.svg} --png {output.png}" " > {log} 2>&1"


rule plot_inference_throughput:
    "Inference throughput over batch size, per engine, with its compute and IO ceilings."
    input:
        "results/tables/summary.parquet",
    output:
        svg=report(
            "results/figures/inference_throughput.svg",
            caption="../share/report/inference_throughput.rst",
            category="Inference",
            labels={"figure": "throughput over batch size"},
        ),
        png="results/figures/inference_throughput.png",
    log:
        "results/logs/plot_inference_throughput.log",
    conda:
        ENVIRONMENT
    shell:
        "python -m plot_throughput --mode inference --summary {input} --svg {output.svg}"
        " --png {output.png} > {log} 2>&1"


rule plot_predictions:
    "Predicted and true masks of a few samples, by the first engine on the first device."
    input:
        dataset=f"{DATA}/dataset.json",
        engine=engine_files(next(iter(ENGINES)))[0],
        fingerprint=engine_files(next(iter(ENGINES)))[0].replace(".pt2", ".json"),
    output:
        svg=report(
            "results/figures/predictions.svg",
            caption="../share/report/predictions.rst",
            category="Inference",
            labels={"figure": "predicted and true masks"},
        ),
        png="results/figures/predictions.png",
    log:
        "results/logs/plot_predictions.log",
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **DEVICE_JOB,
    params:
        device=torch_device(DEVICES[0]),
        samples=3,
    shell:
        "python -m plot_predictions --engine {input.engine} --device {params.device} --dataset {input.dataset}"
        " --samples {params.samples} --svg {output.svg} --png {output.png} > {log} 2>&1"


rule tables:
    "The tables."
    input:
        rules.aggregate_results.output,


rule figures:
    "The figures of the grid's modes."
    input:
        figures(),
