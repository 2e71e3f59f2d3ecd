# Tables, figures and the report's pages, from the records. With REPORT_ONLY these are the only rules.
import yaml

ACCURACY = [paths.accuracy(engine, device) for engine in ENGINES_USED for device in DEVICES]


rule list_records:
    "List the paths of the grid's records in a file: those of a large grid do not fit into a command line."
    input:
        existing_records() if REPORT_ONLY else ROUNDS,
    output:
        paths.RECORD_LIST,
    log:
        paths.log("list_records"),
    localrule: True
    params:
        cells=list(CELLS),
        min_starts=settings.benchmark.min_starts,
    run:
        write_list(output[0], params.cells, params.min_starts)


rule write_config:
    "Write the complete configuration, with which the same run can be started again."
    output:
        paths.CONFIG,
    log:
        paths.log("write_config"),
    localrule: True
    params:
        config=COMPLETE_CONFIG,
    run:
        with open(output[0], "w") as file:
            yaml.safe_dump(params.config, file, sort_keys=False)


rule aggregate_results:
    "Make the tables: all cells, the best valid cells, storage for many devices, accuracy, and channels."
    input:
        rounds=measured(ROUNDS),
        list=rules.list_records.output,
        accuracy=measured(ACCURACY),
        dataset=DATASET,
    output:
        table("summary", "all cells"),
        table("best", "best valid cells"),
        table("sizing", "storage for many devices"),
        table("accuracy", "accuracy of engines"),
        table("channels", "channels of the samples"),
        [table("storages", "storages side by side")] if STORAGES else [],
        paths.table("summary.parquet"),
    log:
        paths.log("aggregate_results"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        channels=list(settings.model.channels),
        storages="--compare-storages" if STORAGES else "",
        folder=subpath(output[0], parent=True),
    shell:
        "python -m aggregate_results --records {input.list:q} --rounds {input.rounds:q} --accuracy {input.accuracy:q} --dataset {input.dataset:q}"
        " --channels {params.channels} {params.storages} --output {params.folder:q} > {log} 2>&1"


# One rule per figure instead of a wildcard: the caption of a report's item cannot depend on wildcards.
for name in filter(contents.PREDICTIONS.__ne__, contents.FIGURES):

    rule:
        "Draw one figure from the tables, and write its data as CSV."
        name:
            f"plot_{name}"
        input:
            rules.aggregate_results.output,
        output:
            **figure(name),
        log:
            paths.log(f"plot_{name}"),
        localrule: True
        conda:
            ENVIRONMENT
        params:
            figure=name,
            tables=subpath(input[0], parent=True),
        shell:
            "python -m plot_figure --figure {params.figure} --tables {params.tables:q}"
            " --svg {output.svg:q} --png {output.png:q} --csv {output.csv:q} > {log} 2>&1"


rule plot_predictions:
    "Draw how the predicted masks of a few samples differ from the true ones."
    input:
        predictions=paths.PREDICTIONS,
        dataset=DATASET,
    output:
        **figure(contents.PREDICTIONS),
    log:
        paths.log("plot_predictions"),
    localrule: True
    conda:
        ENVIRONMENT
    shell:
        "python -m plot_predictions --predictions {input.predictions:q} --dataset {input.dataset:q}"
        " --svg {output.svg:q} --png {output.png:q} --csv {output.csv:q} > {log} 2>&1"


rule plot_time_series:
    "Draw the throughput over time of every cell, and write its batch intervals as a histogram."
    input:
        rounds=measured(ROUNDS),
        list=rules.list_records.output,
    output:
        time_series(),
    log:
        paths.log("plot_time_series"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        folder=paths.figure("time_series", "x").removesuffix(".x"),
    shell:
        "python -m plot_time_series --records {input.list:q} --output {params.folder:q} > {log} 2>&1"


rule write_summary:
    "Write the results page, and the same for programs: what limits inference, how sure that is, and what is not valid."
    input:
        tables=rules.aggregate_results.output,
        list=rules.list_records.output,
        config=rules.write_config.output,
    output:
        page=report(
            paths.SUMMARY_PAGE,
            caption="../share/report/summary_page.rst",
            category="Summary",
            labels={"page": "what was run, and what limits it"},
        ),
        result=paths.RESULT,
    log:
        paths.log("write_summary"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        tables=lambda wildcards, input: os.path.dirname(input.tables[0]),
    shell:
        "python -m write_summary --tables {params.tables:q} --records {input.list:q} --config {input.config:q}"
        " --output {output.page:q} --result {output.result:q} > {log} 2>&1"


rule write_explorer:
    "Write the explorer: all cells to filter, plot and save, in one file."
    input:
        paths.table("summary.parquet"),
    output:
        report(
            paths.EXPLORER_PAGE,
            caption="../share/report/summary.rst",
            category="Tables",
            labels={"table": "all cells, to filter and plot"},
        ),
    log:
        paths.log("write_explorer"),
    localrule: True
    conda:
        ENVIRONMENT
    shell:
        "python -m write_explorer --summary {input:q} --output {output:q} > {log} 2>&1"


rule bundle:
    "Pack what it takes to build the report elsewhere, and to repeat the run."
    input:
        rounds=measured(ROUNDS),
        list=rules.list_records.output,
        config=rules.write_config.output,
        made=[
            rules.aggregate_results.output,
            rules.write_summary.output,
            rules.write_explorer.output,
            figures(),
            rules.plot_time_series.output,
            measured(ACCURACY),
            measured([paths.PREDICTIONS] if ACCURACY else []),
        ],
        dataset=DATASET,
    output:
        paths.BUNDLE,
    log:
        paths.log("bundle"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=ROOT,
        kind="cpu" if settings.devices == "cpu" else "gpu",
    shell:
        "python -m make_bundle --code {params.code:q} --kind {params.kind} --records {input.list:q}"
        " --config {input.config:q} --dataset {input.dataset:q} --files {input.rounds:q} {input.made:q} --output {output:q} > {log} 2>&1"


rule tables:
    "Make the tables only."
    input:
        rules.aggregate_results.output,
    localrule: True


rule figures:
    "Make the figures, the results page, and the explorer."
    input:
        figures(),
        rules.plot_time_series.output,
        rules.write_summary.output,
        rules.write_explorer.output,
    localrule: True
