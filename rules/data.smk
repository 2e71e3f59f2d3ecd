# The dataset: its files in order, and dataset.json, which describes them.


rule fetch_file_index:
    "List the first samples in order, and fetch the statistics that the archive has of its channels."
    output:
        index=paths.index(DATA),
        statistics=paths.statistics(DATA),
    log:
        paths.log("fetch_file_index"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        # One on all machines together: see profiles/.
        download_slot=1,
    params:
        source=settings.data.source,
        split=settings.data.split,
        num_files=settings.data.num_files,
        height=settings.data.height,
        width=settings.data.width,
    shell:
        "python -m fetch_file_index --source {params.source:q} --split {params.split}"
        " --num-files {params.num_files} --height {params.height} --width {params.width}"
        " --output {output.index:q} --statistics {output.statistics:q} > {log} 2>&1"


if NPY_IN_PLACE:

    include: "npy_in_place.smk"

else:

    include: "conversion.smk"


include: "copies.smk"


rule data:
    "Make the dataset at all of its places: converted and described."
    input:
        DATASETS,
    localrule: True
