# What a run will take, before it is started.


rule plan:
    "Print what a run will take: samples, bytes, cells, jobs and time. It starts nothing."
    log:
        "results/logs/plan.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        config=lambda wildcards: json.dumps(config),
        devices=DEVICES,
        # Besides figures and predictions: list of records, configuration, tables, summary and table of cells.
        report_jobs=len(figures(["svg"])) + bool(ENGINES_USED) + 5,
    shell:
        "python -m plan_run --config {params.config:q} --devices {params.devices} --report-jobs {params.report_jobs}"
        " 2>&1 | tee {log}"
