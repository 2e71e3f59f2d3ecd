# make help lists the targets. Everything runs in .venv, made from envs/requirements-$(KIND).txt.
SHELL := /bin/bash
KIND ?= cpu
VENV ?= .venv
ARGS ?=
CONTAINER ?= $(notdir $(firstword $(shell command -v podman docker 2> /dev/null)))
DATA ?=
export PATH := $(abspath $(VENV))/bin:$(PATH)

.PHONY: help venv dev plan run report bundle test gpu-check perf-data perf-readers perf-engines perf-workflow image image-run
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s "$$(printf '\t')"

venv: ## the environment; again only when the requirements change
	@envs/bootstrap.sh $(VENV) envs/requirements-$(KIND).txt

dev: ## the environment with what only the checks need: pytest, ruff, snakefmt, mypy, import-linter
	@envs/bootstrap.sh $(VENV) envs/requirements-$(KIND).txt envs/requirements-dev.txt

# Snakemake's own talk only where it fails.
SILENT = exec 3>&1; talk=$$($(1) 2>&1 >&3) || { echo "$$talk" >&2; exit 1; }

# Without Snakemake's lock, so that a run may be under way.
plan: venv ## what run would take, in jobs, bytes and time; starts nothing; ARGS as for run
	@$(call SILENT,snakemake plan --nolock $(ARGS))

run: venv ## the whole workflow with config/config.yaml, up to the report; ARGS="--configfile config/tiny.yaml" changes it
	@workflow_scripts/run_workflow.sh $(ARGS)

report: venv ## the report again, from the records that there are; nothing is measured
	@DEEPCAM_REPORT_ONLY=1 workflow_scripts/run_workflow.sh $(ARGS)

bundle: venv ## results/bundle.tar.gz: all to build the report elsewhere and to repeat the run
	@$(call SILENT,DEEPCAM_REPORT_ONLY=1 snakemake $(ARGS) -- bundle); echo results/bundle.tar.gz

test: dev ## every check there is
	python -m pytest

perf-data: venv ## downloads beside curl, conversion beside cp, the job graph as it grows; wants a quiet machine
	python tests/performance/data.py $(ARGS)

perf-readers: venv ## all readers beside fio and a DALI loop by hand, cold and warm; wants fio and a quiet machine
	python tests/performance/readers.py $(ARGS)

perf-engines: venv ## engines on the CPU beside each other and OpenVINO (pip install openvino); wants a quiet machine
	python tests/performance/engines.py $(ARGS)

perf-workflow: venv ## 1,000 cells x 5 repeats with a simulated benchmark: interrupted, resumed, one cell failing
	python tests/performance/long_run.py $(ARGS)

gpu-check: dev ## with KIND=gpu: readers, engines and the benchmark on a real GPU, into results/gpu-check
	python tests/gpu/check.py results/gpu-check $(ARGS)

container = $(or $(CONTAINER),$(error neither podman nor docker is found: install one of them, or name it with CONTAINER=))

image: ## the environment and the workflow as a container image, by podman or docker; KIND=gpu for GPUs
	$(container) build --file envs/Containerfile --build-arg COMMIT=$$(git describe --always --dirty --abbrev=12 2> /dev/null) \
		--build-arg KIND=$(KIND) --tag deepcam:$(KIND) $(ARGS) .

# The records' node is this one, not the container's number. Where SELinux is on, it keeps containers out of this folder
# and the data, unless all their files are relabelled or, as here, it leaves this container alone.
IN_IMAGE = run --rm --ipc=host --hostname $$(uname -n) --security-opt label=disable --volume $(CURDIR):/work
# What is written belongs to the caller: podman's root is its caller, docker is told the caller's number. podman hides
# the properties of the disk, by which a record knows what a cold cache means on it.
IN_IMAGE += $(if $(findstring podman,$(container)),--user 0:0 --security-opt unmask=/sys/dev/block,--user $$(id -u):$$(id -g))
IN_IMAGE += $(if $(filter gpu,$(KIND)),--device nvidia.com/gpu=all)
IN_IMAGE += $(if $(DATA),--volume $(or $(realpath $(DATA)),$(error DATA=$(DATA): there is no such folder; make it first)):/work/results/data)

image-run: ## what run does, in the image: results in this folder, data there or in DATA=/mnt/fast; ARGS as for run
	@found=$$($(container) images --quiet deepcam:$(KIND)) || exit; \
		[ "$$found" ] || { echo "error: there is no image deepcam:$(KIND); first: make image KIND=$(KIND)" >&2; exit 1; }
	@mkdir -p results/data # else docker, to mount DATA, makes it as root
	$(container) $(IN_IMAGE) deepcam:$(KIND) $(ARGS)
