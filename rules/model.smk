# From the parts in share/ to one engine per device, and whether it is accurate.


rule assemble_model:
    "The pre-trained model, joined from its verified parts."
    input:
        parts=MODEL_PARTS,
        sums=os.path.join(PARTS_FOLDER, "SHA256SUMS"),
    output:
        "results/model/model.pth",
    log:
        "results/logs/assemble_model.log",
    localrule: True
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
        dataset=DATASET,
    output:
        engine="results/model/engines/{engine}/{device}.pt2",
        fingerprint="results/model/engines/{engine}/{device}.json",
    log:
        "results/logs/compile_engine/{engine}/{device}.log",
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **DEVICE_JOB,
    params:
        backend=lambda wildcards: ENGINES[wildcards.engine].backend,
        precision=lambda wildcards: ENGINES[wildcards.engine].precision,
        cuda_graphs=lambda wildcards: "--cuda-graphs" if ENGINES[wildcards.engine].cuda_graphs else "",
        device=lambda wildcards: torch_device(wildcards.device),
        max_batch=MAX_BATCH,
        width_multiplier=config["model"]["width_multiplier"],
        channels=config["model"]["channels"],
        # Not for the shell: on another machine, or with other sources, an engine is stale and is built again.
        machine=machine_identity,
        sources=engine_spec.source_sha256(),
    shell:
        "python -m compile_engine --backend {params.backend} --precision {params.precision} {params.cuda_graphs}"
        " --device {params.device} --model {input.model} --dataset {input.dataset} --max-batch {params.max_batch}"
        " --width-multiplier {params.width_multiplier} --channels {params.channels} --output {output.engine}"
        " > {log} 2>&1"


rule predict_reference:
    "What the eager fp32 network finds in the first samples: the yardstick of a device's engines."
    input:
        model="results/model/model.pth",
        dataset=DATASET,
    output:
        "results/accuracy/reference/{device}.npy",
    log:
        "results/logs/predict_reference/{device}.log",
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **DEVICE_JOB,
    params:
        device=lambda wildcards: torch_device(wildcards.device),
        max_batch=MAX_BATCH,
        width_multiplier=config["model"]["width_multiplier"],
        channels=config["model"]["channels"],
        # Not for the shell: with other sources the reference is stale, as engines are.
        sources=engine_spec.source_sha256(),
    shell:
        "python -m predict_reference --device {params.device} --model {input.model} --dataset {input.dataset}"
        " --max-batch {params.max_batch} --width-multiplier {params.width_multiplier}"
        " --channels {params.channels} --output {output} > {log} 2>&1"


rule check_accuracy:
    "Does an engine find what the reference finds? Cells of one that does not are invalid."
    input:
        engine="results/model/engines/{engine}/{device}.pt2",
        fingerprint="results/model/engines/{engine}/{device}.json",
        dataset=DATASET,
        reference="results/accuracy/reference/{device}.npy",
    output:
        "results/accuracy/{engine}/{device}.json",
    log:
        "results/logs/check_accuracy/{engine}/{device}.log",
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **DEVICE_JOB,
    params:
        device=lambda wildcards: torch_device(wildcards.device),
    shell:
        "python -m check_accuracy --engine-file {input.engine} --device {params.device} --dataset {input.dataset}"
        " --reference {input.reference} --output {output} > {log} 2>&1"


rule predict_samples:
    "What an engine, the first one on the first device, finds in a few samples."
    input:
        dataset=DATASET,
        engine=lambda wildcards: engine_files(ENGINES_USED[0])[0],
        fingerprint=lambda wildcards: engine_files(ENGINES_USED[0])[0].replace(".pt2", ".json"),
    output:
        PREDICTIONS,
    log:
        "results/logs/predict_samples.log",
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **DEVICE_JOB,
    params:
        device=torch_device(DEVICES[0]),
        samples=3,
    shell:
        "python -m predict_samples --engine {input.engine} --device {params.device} --dataset {input.dataset}"
        " --samples {params.samples} --output {output} > {log} 2>&1"


rule train_model:
    "New weights, trained on synthetic samples, and their IoU on others. Only on request."
    output:
        model="results/training/model.pth",
        evaluation="results/training/evaluation.json",
    log:
        "results/logs/train_model.log",
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        **DEVICE_JOB,
    params:
        # The checkpoint in it is not an output: it must survive a job that was killed.
        folder=subpath(output.model, parent=True),
        device=torch_device(DEVICES[0]),
        recipe=[f"--{key.replace('_', '-')} {value}" for key, value in config["train"].items()],
        width_multiplier=config["model"]["width_multiplier"],
        channels=config["model"]["channels"],
    shell:
        "python -m train_model {params.recipe} --width-multiplier {params.width_multiplier}"
        " --channels {params.channels} --device {params.device} --threads {threads}"
        " --checkpoint {params.folder}/checkpoint.pt --output {output.model} --evaluation {output.evaluation} > {log} 2>&1"


rule split_model:
    "The new weights in parts, to replace those in share/ or to be named in model.parts."
    input:
        rules.train_model.output.model,
    output:
        "results/training/parts/SHA256SUMS",
    log:
        "results/logs/split_model.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        folder=subpath(output[0], parent=True),
    shell:
        "python -m split_model --model {input} --output-dir {params.folder} > {log} 2>&1"


rule train:
    "New weights in parts, with their evaluation."
    input:
        rules.train_model.output,
        rules.split_model.output,
    localrule: True


rule engines:
    "Every engine of the configuration for every device, checked."
    input:
        [engine_files(engine) + accuracy_files(engine) for engine in ENGINES],
    localrule: True
