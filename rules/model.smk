# The model, its engines for each device and their accuracy, and the training of new weights.


rule assemble_model:
    "Join the pre-trained model from its parts, and verify it."
    input:
        parts=MODEL_PARTS,
        sums=os.path.join(PARTS_FOLDER, "SHA256SUMS"),
    output:
        paths.MODEL,
    log:
        paths.log("assemble_model"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        folder=subpath(input.sums, parent=True),
    shell:
        "python -m assemble_model --parts {params.folder:q} --output {output:q} > {log} 2>&1"


# Engines that are chosen by measuring, and all others.
AUTO_ENGINE = r"auto-[a-z0-9-]+|[a-z0-9]+-auto(-graphs)?"
FIXED_ENGINE = rf"(?!({AUTO_ENGINE})/)[a-z0-9-]+"


rule compile_engine:
    "Build one engine for one device: channel selection, normalisation, network and argmax in one graph."
    input:
        model=paths.MODEL,
        dataset=DATASET,
    output:
        engine=paths.engine("{engine}", "{device}"),
        fingerprint=paths.fingerprint("{engine}", "{device}"),
    log:
        paths.log("compile_engine/{engine}/{device}"),
    wildcard_constraints:
        engine=FIXED_ENGINE,
    conda:
        ENVIRONMENT
    # Compiling mostly takes one core, and two candidates are built in parallel.
    threads: 1
    resources:
        **DEVICE_JOB,
    params:
        backend=lambda wildcards: BUILT[wildcards.engine].backend,
        precision=lambda wildcards: BUILT[wildcards.engine].precision,
        cuda_graphs=lambda wildcards: "--cuda-graphs" if BUILT[wildcards.engine].cuda_graphs else "",
        # If it is only one of several to choose from, it need not be possible to build it.
        candidate=lambda wildcards: "" if wildcards.engine in ENGINES else "--candidate",
        device=lambda wildcards: launch.torch_device(wildcards.device),
        max_batch=MAX_BATCH,
        width_multiplier=settings.model.width_multiplier,
        channels=list(settings.model.channels),
        # Not for the shell: an engine of another machine or of other sources is stale, and is built again.
        machine=machine_identity,
        sources=engine_spec.source_sha256(),
    shell:
        "python -m keep_heap compile_engine --backend {params.backend} --precision {params.precision} {params.cuda_graphs}"
        " {params.candidate} --device {params.device} --model {input.model:q} --dataset {input.dataset:q} --max-batch {params.max_batch}"
        " --width-multiplier {params.width_multiplier} --channels {params.channels} --output {output.engine:q}"
        " > {log} 2>&1"


rule predict_reference:
    "Predict the first samples with the eager fp32 network, with which a device's engines are compared."
    input:
        model=paths.MODEL,
        dataset=DATASET,
    output:
        paths.reference("{device}"),
    log:
        paths.log("predict_reference/{device}"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **DEVICE_JOB,
    params:
        device=lambda wildcards: launch.torch_device(wildcards.device),
        max_batch=MAX_BATCH,
        width_multiplier=settings.model.width_multiplier,
        channels=list(settings.model.channels),
        # Not for the shell: a reference of other sources is stale, like an engine.
        sources=engine_spec.source_sha256(),
    shell:
        "python -m keep_heap predict_reference --device {params.device} --model {input.model:q} --dataset {input.dataset:q}"
        " --max-batch {params.max_batch} --width-multiplier {params.width_multiplier}"
        " --channels {params.channels} --output {output:q} > {log} 2>&1"


rule check_accuracy:
    "Compare an engine's predictions with the reference. If they differ too much, its cells are invalid."
    input:
        engine=paths.engine("{engine}", "{device}"),
        fingerprint=paths.fingerprint("{engine}", "{device}"),
        dataset=DATASET,
        reference=paths.reference("{device}"),
    output:
        verdict=paths.accuracy("{engine}", "{device}"),
        masks=paths.judged_masks("{engine}", "{device}"),
    log:
        paths.log("check_accuracy/{engine}/{device}"),
    wildcard_constraints:
        engine=FIXED_ENGINE,
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **DEVICE_JOB,
    params:
        device=lambda wildcards: launch.torch_device(wildcards.device),
    shell:
        "python -m keep_heap check_accuracy --engine-file {input.engine:q} --device {params.device} --dataset {input.dataset:q}"
        " --reference {input.reference:q} --output {output.verdict:q} > {log} 2>&1"


rule choose_engine:
    "Time the candidates for an engine whose backend or precision is auto, and choose among those that are accurate."
    input:
        engines=lambda wildcards: candidates(paths.engine, wildcards),
        fingerprints=lambda wildcards: candidates(paths.fingerprint, wildcards),
        dataset=DATASET,
        reference=paths.reference("{device}"),
    output:
        engine=paths.engine("{engine}", "{device}"),
        fingerprint=paths.fingerprint("{engine}", "{device}"),
        accuracy=paths.accuracy("{engine}", "{device}"),
        masks=paths.judged_masks("{engine}", "{device}"),
    log:
        paths.log("choose_engine/{engine}/{device}"),
    wildcard_constraints:
        engine=AUTO_ENGINE,
    conda:
        ENVIRONMENT
    resources:
        **DEVICE_JOB,
        # It has the machine to itself, as run_rounds has: see profiles/.
        benchmark_slot=1,
    params:
        backend=lambda wildcards: ENGINES[wildcards.engine].backend,
        precision=lambda wildcards: ENGINES[wildcards.engine].precision,
        device=lambda wildcards: launch.torch_device(wildcards.device),
    shell:
        "python -m keep_heap choose_engine --backend {params.backend} --precision {params.precision}"
        " --candidates {input.engines:q} --device {params.device} --dataset {input.dataset:q}"
        " --reference {input.reference:q} --output {output.engine:q} --accuracy {output.accuracy:q} > {log} 2>&1"


rule predict_samples:
    "Predict a few samples with the first engine on the first device."
    input:
        dataset=DATASET,
        engine=lambda wildcards: paths.engine(ENGINES_USED[0], DEVICES[0]),
        fingerprint=lambda wildcards: paths.fingerprint(ENGINES_USED[0], DEVICES[0]),
    output:
        paths.PREDICTIONS,
    log:
        paths.log("predict_samples"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        **DEVICE_JOB,
    params:
        device=launch.torch_device(DEVICES[0]),
        samples=3,
    shell:
        "python -m keep_heap predict_samples --engine {input.engine:q} --device {params.device} --dataset {input.dataset:q}"
        " --samples {params.samples} --output {output:q} > {log} 2>&1"


rule train_model:
    "Train new weights on synthetic samples, and compute their IoU on others. Only on request."
    output:
        model=paths.TRAINED_MODEL,
        evaluation=paths.TRAINING_EVALUATION,
    log:
        paths.log("train_model"),
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        **DEVICE_JOB,
    params:
        # The checkpoint in this folder is not an output: it must survive if the job is killed.
        folder=subpath(output.model, parent=True),
        device=launch.torch_device(DEVICES[0]),
        recipe=[f"--{key.replace('_', '-')} {value}" for key, value in settings.train],
        width_multiplier=settings.model.width_multiplier,
        channels=list(settings.model.channels),
    shell:
        "python -m keep_heap train_model {params.recipe} --width-multiplier {params.width_multiplier}"
        " --channels {params.channels} --device {params.device} --threads {threads}"
        " --checkpoint {params.folder:q}/checkpoint.pt --output {output.model:q} --evaluation {output.evaluation:q}"
        " > {log} 2>&1"


rule split_model:
    "Split the new weights into parts, which can replace those in share/ or be named in model.parts."
    input:
        rules.train_model.output.model,
    output:
        paths.TRAINED_PARTS,
    log:
        paths.log("split_model"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        folder=subpath(output[0], parent=True),
    shell:
        "python -m split_model --model {input:q} --output-dir {params.folder:q} > {log} 2>&1"


rule train:
    "Make new weights in parts, with their evaluation."
    input:
        rules.train_model.output,
        rules.split_model.output,
    localrule: True


rule engines:
    "Build every engine of the configuration for every device, and check its accuracy."
    input:
        [for_devices(path, engine) for engine in ENGINES for path in (paths.engine, paths.accuracy)],
    localrule: True
