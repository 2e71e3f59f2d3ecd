# From the parts in share/ to one engine per device.


rule assemble_model:
    "The pre-trained model, joined from its verified parts."
    input:
        parts=MODEL_PARTS,
        sums=os.path.join(PARTS_FOLDER, "SHA256SUMS"),
    output:
        "results/model/model.pth",
    log:
        "results/logs/assemble_model.log",
    conda:
        ENVIRONMENT
    params:
        folder=subpath(input.sums, parent=True),
    shell:
        "python -m assemble_model --parts {params.folder:q} --output {output} > {log} 2>&1"


rule compile_engine:
    "One engine for one device: selection, normalisation, network and argmax as one graph."
    input:
        model="results/model/model.pth",
        dataset=f"{DATA}/dataset.json",
    output:
        engine="results/model/engines/{engine}/{device}.pt2",
        fingerprint="results/model/engines/{engine}/{device}.json",
    log:
        "results/logs/compile_engine/{engine}/{device}.log",
    conda:
        ENVIRONMENT
    threads: 2
    params:
        backend=lambda wildcards: ENGINES[wildcards.engine]["backend"],
        precision=lambda wildcards: ENGINES[wildcards.engine]["precision"],
        device=lambda wildcards: device_name(wildcards.device),
        max_batch=max(cell.local_batch_size for cell in CELLS.values()),
        width_multiplier=config["model"]["width_multiplier"],
        channels=config["model"]["channels"],
    shell:
        "python -m compile_engine --backend {params.backend} --precision {params.precision}"
        " --device {params.device} --model {input.model} --dataset {input.dataset} --max-batch {params.max_batch}"
        " --width-multiplier {params.width_multiplier} --channels {params.channels} --output {output.engine}"
        " > {log} 2>&1"


rule engines:
    "Every engine of the configuration for every device."
    input:
        [engine_files(engine) for engine in ENGINES],
