# What a run will take, before it is started.


rule plan:
    "Print what a run will take: samples, bytes, cells, jobs and time. It starts nothing."
    log:
        "results/logs/plan.log",
    conda:
        ENVIRONMENT
    params:
        config=lambda wildcards: json.dumps(config),
        devices=DEVICES,
        figures=len(figures()) // 2,
    shell:
        "python -m plan_run --config {params.config:q} --devices {params.devices} --figures {params.figures} 2>&1"
        " | tee {log}"
