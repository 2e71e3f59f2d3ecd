# npy files that are already on this site's storage. They stay where they are, and nothing is converted.


rule describe_npy_in_place:
    "Describe npy files that are already on this site's storage. They stay where they are."
    input:
        index=paths.index(DATA),
        statistics=paths.statistics(DATA),
    output:
        DATASET,
    log:
        paths.log("describe_npy_in_place"),
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        **PLAIN_JOB,
    params:
        source=settings.data.source,
        height=settings.data.height,
        width=settings.data.width,
        # Only the accuracy of engines needs labels.
        labels="" if ENGINES_USED else "--without-labels",
        nonfinite="--allow-nonfinite" if settings.data.allow_nonfinite else "",
    shell:
        "python -m describe_npy_in_place --index {input.index:q} --source {params.source:q}"
        " --height {params.height} --width {params.width} --statistics {input.statistics:q}"
        " {params.labels} {params.nonfinite} --threads {threads} --output {output:q} > {log} 2>&1"


rule verify:
    "Hash all data, and compare it with the hashes of an earlier verification. Nothing is removed."
    input:
        dataset=DATASET,
        copies=DATASETS[1:],
    log:
        paths.log("verify"),
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        **PLAIN_JOB,
    params:
        hashes=paths.hashes(DATA),
    shell:
        "python -m verify_npy_in_place --dataset {input.dataset:q} --hashes {params.hashes:q}"
        " --copies {input.copies:q} --threads {threads} > {log} 2>&1"
