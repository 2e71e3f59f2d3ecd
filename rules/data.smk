# From the archive, or from nothing, to npy files and dataset.json.
#
# The manifest of a shard is its output, the data files are not: Snakemake deletes the outputs of a job that failed,
# and what is downloaded must survive that.


rule fetch_file_index:
    "The sorted names of the first samples: the archive's, or synthetic ones."
    output:
        f"{DATA}/index.tsv",
    log:
        "results/logs/fetch_file_index.log",
    conda:
        ENVIRONMENT
    resources:
        http_streams=1,
    params:
        source=config["data"]["source"],
        split=config["data"]["split"],
        num_files=config["data"]["num_files"],
    shell:
        "python -m fetch_file_index --source {params.source:q} --split {params.split}"
        " --num-files {params.num_files} --output {output} > {log} 2>&1"


rule download_shard:
    "One shard of HDF5 files from the archive, verified."
    input:
        f"{DATA}/index.tsv",
    output:
        f"{DATA}/hdf5/archive/shard-{{shard}}/manifest.tsv",
    log:
        "results/logs/download_shard/{shard}.log",
    conda:
        ENVIRONMENT
    resources:
        http_streams=config["data"]["streams"],
    params:
        source=config["data"]["source"],
        split=config["data"]["split"],
        files_per_shard=config["data"]["files_per_shard"],
        folder=subpath(output[0], parent=True),
    shell:
        "python -m download_shard --index {input} --shard {wildcards.shard}"
        " --files-per-shard {params.files_per_shard} --source {params.source:q} --split {params.split}"
        " --streams {resources.http_streams} --output-dir {params.folder} > {log} 2>&1"


rule synthesize_shard:
    "One shard of synthetic HDF5 files in the archive's layout."
    input:
        f"{DATA}/index.tsv",
    output:
        f"{DATA}/hdf5/synthetic/shard-{{shard}}/manifest.tsv",
    log:
        "results/logs/synthesize_shard/{shard}.log",
    conda:
        ENVIRONMENT
    threads: 2
    params:
        files_per_shard=config["data"]["files_per_shard"],
        height=config["data"]["height"],
        width=config["data"]["width"],
        seed=config["data"]["seed"],
        folder=subpath(output[0], parent=True),
    shell:
        "python -m synthesize_shard --index {input} --shard {wildcards.shard}"
        " --files-per-shard {params.files_per_shard} --height {params.height} --width {params.width}"
        " --seed {params.seed} --processes {threads} --output-dir {params.folder} > {log} 2>&1"


rule convert_shard:
    "The npy files of one shard: data as it is, both label planes stacked."
    input:
        f"{HDF5}/shard-{{shard}}/manifest.tsv",
    output:
        f"{DATA}/npy/shard-{{shard}}/manifest.tsv",
    log:
        "results/logs/convert_shard/{shard}.log",
    conda:
        ENVIRONMENT
    threads: 2
    params:
        folder=subpath(output[0], parent=True),
    shell:
        "python -m convert_shard --manifest {input} --output-dir {params.folder} --threads {threads}" " > {log} 2>&1"


rule describe_dataset:
    "What the dataset holds: files in order, bytes, statistics per channel."
    input:
        expand(f"{DATA}/npy/shard-{{shard}}/manifest.tsv", shard=SHARDS),
    output:
        f"{DATA}/dataset.json",
    log:
        "results/logs/describe_dataset.log",
    conda:
        ENVIRONMENT
    threads: 2
    params:
        npy=subpath(input[0], ancestor=2),
        shards=len(SHARDS),
        source=config["data"]["source"],
    shell:
        "python -m describe_dataset --npy-dir {params.npy} --shards {params.shards}"
        " --source {params.source:q} --threads {threads} --output {output} > {log} 2>&1"


rule data:
    "The dataset, converted and described."
    input:
        rules.describe_dataset.output,
