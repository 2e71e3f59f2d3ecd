# HDF5 files from the archive, from this site's storage, or synthetic ones, converted to npy files.
#
# The only output of a shard's job is the manifest. Snakemake deletes the outputs of a job that failed, and files that
# were downloaded must survive that.

# HDF5 files that belong to somebody else are never removed, and links to them need not be.
KEEP_HDF5 = LOCAL or settings.data.keep_hdf5


rule download_shard:
    "Download one shard of HDF5 files from the archive, and verify them."
    input:
        paths.index(DATA),
    output:
        paths.hdf5_manifest(DATA, "archive", "{shard}"),
    log:
        paths.log("download_shard/{shard}"),
    conda:
        ENVIRONMENT
    resources:
        **PLAIN_JOB,
        download_slot=1,
    params:
        source=settings.data.source,
        files_per_shard=settings.data.files_per_shard,
        streams=settings.data.streams,
        height=settings.data.height,
        width=settings.data.width,
        folder=subpath(output[0], parent=True),
        npy=f"{DATA}/npy/shard-{{shard}}",
    shell:
        "python -m download_shard --index {input:q} --shard {wildcards.shard}"
        " --files-per-shard {params.files_per_shard} --source {params.source:q} --streams {params.streams}"
        " --height {params.height} --width {params.width} --npy-dir {params.npy:q} --output-dir {params.folder:q}"
        " > {log} 2>&1"


rule synthesize_shard:
    "Make one shard of synthetic HDF5 files in the archive's layout."
    input:
        paths.index(DATA),
    output:
        paths.hdf5_manifest(DATA, "synthetic", "{shard}"),
    log:
        paths.log("synthesize_shard/{shard}"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **PLAIN_JOB,
    params:
        files_per_shard=settings.data.files_per_shard,
        height=settings.data.height,
        width=settings.data.width,
        seed=settings.data.seed,
        folder=subpath(output[0], parent=True),
    shell:
        "python -m synthesize_shard --index {input:q} --shard {wildcards.shard}"
        " --files-per-shard {params.files_per_shard} --height {params.height} --width {params.width}"
        " --seed {params.seed} --processes {threads} --output-dir {params.folder:q} > {log} 2>&1"


rule link_shard:
    "Link one shard of HDF5 files that are already on this site's storage, and hash them."
    input:
        paths.index(DATA),
    output:
        paths.hdf5_manifest(DATA, "local", "{shard}"),
    log:
        paths.log("link_shard/{shard}"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **PLAIN_JOB,
    params:
        files_per_shard=settings.data.files_per_shard,
        height=settings.data.height,
        width=settings.data.width,
        folder=subpath(output[0], parent=True),
    shell:
        "python -m link_shard --index {input:q} --shard {wildcards.shard} --files-per-shard {params.files_per_shard}"
        " --height {params.height} --width {params.width} --threads {threads} --output-dir {params.folder:q}"
        " > {log} 2>&1"


rule convert_shard:
    "Convert one shard to npy files: the data unchanged, and both label planes stacked."
    input:
        paths.hdf5_manifest(DATA, ORIGIN, "{shard}"),
    output:
        paths.npy_manifest(DATA, "{shard}"),
    log:
        paths.log("convert_shard/{shard}"),
    # Finished shards first. If HDF5 files are removed, that makes room for the next ones.
    priority: 1
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **PLAIN_JOB,
    params:
        folder=subpath(output[0], parent=True),
        header_bytes=settings.data.npy_header_bytes,
        after="" if KEEP_HDF5 else "--remove-hdf5",
    shell:
        "python -m convert_shard --manifest {input:q} --output-dir {params.folder:q} --threads {threads}"
        " --header-bytes {params.header_bytes} {params.after} > {log} 2>&1"


rule describe_dataset:
    "Describe the dataset: its files in order, bytes, and statistics per channel."
    input:
        manifests=NPY_MANIFESTS,
        statistics=paths.statistics(DATA),
    output:
        DATASET,
    log:
        paths.log("describe_dataset"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **PLAIN_JOB,
    params:
        npy=subpath(input[0], ancestor=2),
        shards=len(SHARDS),
        source=settings.data.source,
        nonfinite="--allow-nonfinite" if settings.data.allow_nonfinite else "",
    shell:
        "python -m describe_dataset --npy-dir {params.npy:q} --shards {params.shards} --source {params.source:q}"
        " --statistics {input.statistics:q} {params.nonfinite} --threads {threads} --output {output:q} > {log} 2>&1"


rule verify:
    "Hash all data again. Damaged files are named and removed, and the next run replaces them."
    input:
        [paths.hdf5_manifest(DATA, ORIGIN, shard) for shard in SHARDS],
        NPY_MANIFESTS,
        copies=DATASETS[1:],
    log:
        paths.log("verify"),
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        **PLAIN_JOB,
    params:
        hdf5=subpath(input[0], ancestor=2),
        npy=subpath(input[len(SHARDS)], ancestor=2),
        dataset=DATASET,
        shards=len(SHARDS),
        removed="" if KEEP_HDF5 else "--hdf5-removed",
    shell:
        "python -m verify_dataset --dataset {params.dataset:q} --hdf5-dir {params.hdf5:q} --npy-dir {params.npy:q}"
        " --shards {params.shards} {params.removed} --copies {input.copies:q} --threads {threads} > {log} 2>&1"
