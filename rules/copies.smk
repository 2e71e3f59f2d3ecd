# The samples at the other places that data.dir names: copies of those at the first one, compared by their hashes.


for place, folder in COPIES.items():

    rule:
        "Copy the data files of one shard to another place, and compare the hashes."
        name:
            f"copy_shard_to_{place}"
        input:
            DATASET,
        output:
            paths.npy_manifest(folder, "{shard}"),
        log:
            paths.log(f"copy_shard/{place}/{{shard}}"),
        conda:
            ENVIRONMENT
        threads: 2
        resources:
            **PLAIN_JOB,
        params:
            files_per_shard=settings.data.files_per_shard,
            folder=subpath(output[0], parent=True),
        shell:
            "python -m copy_shard --dataset {input:q} --shard {wildcards.shard}"
            " --files-per-shard {params.files_per_shard} --threads {threads} --output-dir {params.folder:q} > {log} 2>&1"

    rule:
        "Describe the copies at another place."
        name:
            f"describe_copies_on_{place}"
        input:
            dataset=DATASET,
            manifests=[paths.npy_manifest(folder, shard) for shard in SHARDS],
        output:
            paths.dataset(folder),
        log:
            paths.log(f"describe_copies/{place}"),
        localrule: True
        conda:
            ENVIRONMENT
        params:
            npy=f"{folder}/npy",
            shards=len(SHARDS),
        shell:
            "python -m describe_copies --dataset {input.dataset:q} --npy-dir {params.npy:q} --shards {params.shards}"
            " --output {output:q} > {log} 2>&1"
