# From records to tables, figures and what the report shows. With REPORT_ONLY there are no others.


rule list_records:
    "The records of the grid, a path a line: a large grid does not fit into a command line."
    output:
        "results/benchmark/records.txt",
    log:
        "results/logs/list_records.log",
    localrule: True
    params:
        records=records(),
    run:
        with open(output[0], "w") as file:
            file.writelines(f"{record}\n" for record in params.records)


rule write_config:
    "The configuration as it holds, from which the same run can be started again."
    output:
        "results/config.yaml",
    log:
        "results/logs/write_config.log",
    localrule: True
    params:
        config=config,
    run:
        with open(output[0], "w") as file:
            file.write(as_yaml(params.config))


rule aggregate_results:
    "One row per cell, the best valid cells, what storage many devices need, accuracy, and channels."
    input:
        records=measured(records()),
        list=rules.list_records.output,
        accuracy=measured(ACCURACY),
        dataset=DATASET,
    output:
        table("summary", "all cells"),
        table("best", "best valid cells"),
        table("sizing", "storage for many devices"),
        table("accuracy", "accuracy of engines"),
        table("channels", "channels of the samples"),
        "results/tables/summary.parquet",
    log:
        "results/logs/aggregate_results.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        channels=config["model"]["channels"],
    shell:
        "python -m aggregate_results --records {input.list} --accuracy {input.accuracy} --dataset {input.dataset}"
        " --channels {params.channels} --output results/tables > {log} 2>&1"


# A rule each, not one with a wildcard: captions know no wildcards.
for name in filter(contents.PREDICTIONS.__ne__, contents.FIGURES):

    rule:
        "One figure from the tables, and what it shows as CSV."
        name:
            f"plot_{name}"
        input:
            rules.aggregate_results.output,
        output:
            **figure(name),
        log:
            f"results/logs/plot_{name}.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            figure=name,
        shell:
            "python -m plot_figure --figure {params.figure} --tables results/tables"
            " --svg {output.svg} --png {output.png} --csv {output.csv} > {log} 2>&1"


rule plot_predictions:
    "Predicted and true masks of a few samples."
    input:
        PREDICTIONS,
    output:
        **figure(contents.PREDICTIONS),
    log:
        "results/logs/plot_predictions.log",
    localrule: True
    conda:
        ENVIRONMENT
    shell:
        "python -m plot_predictions --predictions {input}"
        " --svg {output.svg} --png {output.png} --csv {output.csv} > {log} 2>&1"


rule write_summary:
    "The page for those who read only one: what was run, what limits it, and what is not valid."
    input:
        tables=rules.aggregate_results.output,
        list=rules.list_records.output,
        dataset=DATASET,
        config=rules.write_config.output,
        figures=[path for path in figures() if path.endswith(".svg")],
    output:
        report(
            "results/summary.html",
            caption="../share/report/summary_page.rst",
            category="Summary",
            labels={"page": "what was run, and what limits it"},
        ),
    log:
        "results/logs/write_summary.log",
    localrule: True
    conda:
        ENVIRONMENT
    shell:
        "python -m write_summary --tables results/tables --records {input.list} --dataset {input.dataset}"
        " --config {input.config} --figures {input.figures} --output {output} > {log} 2>&1"


rule write_cells:
    "All cells as a table that sorts and filters, in one file."
    input:
        "results/tables/summary.parquet",
    output:
        report(
            "results/cells.html",
            caption="../share/report/summary.rst",
            category="Tables",
            labels={"table": "all cells, to sort and filter"},
        ),
    log:
        "results/logs/write_cells.log",
    localrule: True
    conda:
        ENVIRONMENT
    shell:
        "python -m write_cells --summary {input} --output {output} > {log} 2>&1"


rule bundle:
    "All that it takes to build the report again elsewhere, and to repeat the run."
    input:
        records=measured(records()),
        list=rules.list_records.output,
        config=rules.write_config.output,
        made=[
            rules.aggregate_results.output,
            rules.write_summary.output,
            rules.write_cells.output,
            figures(),
            measured(ACCURACY),
            measured([PREDICTIONS] if ACCURACY else []),
        ],
        dataset=DATASET,
    output:
        "results/bundle.tar.gz",
    log:
        "results/logs/bundle.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=workflow.basedir,
        kind="cpu" if config["devices"] == "cpu" else "gpu",
    shell:
        "python -m make_bundle --code {params.code:q} --kind {params.kind} --records {input.list} --config {input.config}"
        " --dataset {input.dataset} --files {input.made} --output {output} > {log} 2>&1"


rule tables:
    "The tables."
    input:
        rules.aggregate_results.output,
    localrule: True


rule figures:
    "The figures of the grid's modes, the summary, and the table of all cells."
    input:
        figures(),
        rules.write_summary.output,
        rules.write_cells.output,
    localrule: True
