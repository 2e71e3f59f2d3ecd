# make help lists the targets. Everything runs in .venv, or .venv-gpu, made from the requirements in envs/.
SHELL := /bin/bash
KIND ?= cpu
VENV ?= $(if $(filter gpu,$(KIND)),.venv-gpu,.venv)
ARGS ?=
CONTAINER ?= $(notdir $(firstword $(shell command -v podman docker 2> /dev/null)))
DATA ?=
SOURCE ?=
NAME ?=
FORCE ?=
# Two files, because pip accepts no package without a hash beside packages with one.
REQUIREMENTS = envs/requirements-$(KIND).txt envs/unhashed-$(KIND).txt
INVALID ?=
ifneq ($(findstring :,$(CURDIR)),)
$(error error: $(CURDIR): the path of this checkout must not have :, which separates the folders in PATH; rename it)
endif
export PATH := $(abspath $(VENV))/bin:$(PATH)
# Snakemake needs the name of the user and a folder for caches, and mpirun a home folder. Where there is none that can be
# written, as under cron or in a container, caches go to this folder.
export USER := $(or $(USER),$(shell id -u))
export HOME := $(or $(HOME),$(shell echo ~))
ifeq ($(shell test -w "$(HOME)" && echo writable),)
export XDG_CACHE_HOME := $(or $(XDG_CACHE_HOME),$(CURDIR)/results/.cache)
endif

.PHONY: help venv dev lock plan run report bundle keep clean test gpu-check perf-data perf-readers perf-engines perf-roofline perf-repeat perf-limits perf-scale perf-workflow image image-run
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s "$$(printf '\t')"

venv: ## make the environment; does nothing while the requirements stay the same
	@envs/bootstrap.sh $(VENV) $(REQUIREMENTS)

dev: ## make the environment with the packages that only the checks need
	@envs/bootstrap.sh $(VENV) $(REQUIREMENTS) envs/requirements-dev.txt

lock: dev ## write the pins in envs/ from the requirements in pyproject.toml; ARGS=--upgrade raises the versions
	@python workflow_scripts/write_lock.py $(ARGS)

# Show Snakemake's messages only if it fails.
SILENT = exec 3>&1; talk=$$($(1) 2>&1 >&3) || { echo "$$talk" >&2; exit 1; }

plan: venv ## print what `make run` would take in jobs, bytes and time; starts nothing; takes the same ARGS
	@python workflow_scripts/plan_run.py $(ARGS)

run: venv ## run the whole workflow up to the report; for other settings, ARGS="--configfile config/tiny.yaml"
	@workflow_scripts/run_workflow.sh $(ARGS)

report: venv ## rebuild the report from the existing records; measures nothing
	@DEEPCAM_REPORT_ONLY=1 workflow_scripts/run_workflow.sh $(ARGS)

bundle: venv ## pack the results, to rebuild the report or repeat the run elsewhere; ANONYMISED=1 for a second one without names
	@python workflow_scripts/prepare_run.py --keep-lock $(ARGS)
	@$(call SILENT,DEEPCAM_REPORT_ONLY=1 snakemake $(ARGS) -- bundle); echo results/bundle.tar.gz
ifeq ($(ANONYMISED),1)
	@python workflow_scripts/anonymise_bundle.py results/bundle.tar.gz --output results/bundle-anonymised.tar.gz
	@echo results/bundle-anonymised.tar.gz
endif

keep: venv ## keep the results as kept/NAME.tar.gz, a bundle that compare.py takes; needs a name, such as NAME=last-week
	@[[ "$(NAME)" =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$$ ]] || { echo "error: NAME=$(NAME): give the results a name of letters, digits, dots and dashes, such as NAME=last-week" >&2; exit 1; }
	@[ ! -e "kept/$(NAME).tar.gz" ] || { echo "error: kept/$(NAME).tar.gz exists; give another NAME" >&2; exit 1; }
	@$(MAKE) --no-print-directory bundle > /dev/null
	@mkdir -p kept
	@cp results/bundle.tar.gz "kept/$(NAME).part" && mv "kept/$(NAME).part" "kept/$(NAME).tar.gz"
	@echo "kept/$(NAME).tar.gz"

clean: venv ## remove what runs made; asks before it removes records, trained weights or data, unless FORCE=1; INVALID=1 removes invalid records only
	@python workflow_scripts/clean_results.py $(if $(filter 1,$(FORCE)),--force) $(if $(filter 1,$(INVALID)),--invalid)

# Two files of tests at a time, because many tests wait for Slurm, for servers and for Snakemake.
test: dev ## run every check
	python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

perf-data: venv ## compare downloads with curl and conversion with cp, and time large job graphs; needs a quiet machine
	python tests/performance/data.py $(ARGS)

perf-readers: venv ## compare all readers with fio and with a plain DALI loop; needs fio and a quiet machine
	python tests/performance/readers.py $(ARGS)

perf-engines: venv ## compare the CPU engines with each other (needs envs/requirements-openvino.txt); needs a quiet machine
	python tests/performance/engines.py $(ARGS)

perf-roofline: venv ## compare the time of each kind of layer with what the machine could do; needs a quiet machine
	python tests/performance/roofline.py $(ARGS)

perf-repeat: venv ## run the default grid twice and compare the two results; needs a quiet machine
	python tests/performance/repeat.py $(ARGS)

perf-limits: venv ## judge machines whose limit is known, because storage, reader or engine are slowed on purpose; needs root
	python tests/performance/limits.py $(ARGS)

perf-workflow: venv ## run 1,000 configurations x 3 starts of a simulated benchmark, interrupted and resumed
	python tests/performance/long_run.py $(ARGS)

perf-scale: venv ## measure what grows with ranks, records, configurations and files, up to 4,096 made-up ranks
	python tests/performance/scale.py $(ARGS)

gpu-check: dev ## with KIND=gpu, try readers, engines and the benchmark on a GPU; writes results/gpu-check
	python tests/gpu/check.py results/gpu-check $(ARGS)

container = $(or $(CONTAINER),$(error neither podman nor docker is found: install one of them, or name it with CONTAINER=))

image: ## build a container image with podman or docker; KIND=gpu for GPUs
	$(container) build --file envs/Containerfile --build-arg COMMIT=$$(git describe --always --dirty --abbrev=12 2> /dev/null) \
		--build-arg KIND=$(KIND) --tag deepcam:$(KIND) $(ARGS) .

# The records' node is this one, not the container's number. With a network of its own, a container would not see that
# another benchmark runs on this machine. Where SELinux is on, it keeps containers out of this folder
# and the data, unless all their files are relabelled or, as here, it leaves this container alone.
IN_IMAGE = run --rm --ipc=host --network=host --hostname $$(uname -n) --security-opt label=disable --volume $(CURDIR):/work
# What is written belongs to the caller: podman's root is its caller, docker is told the caller's number. podman hides
# the properties of the disk, by which a record knows what a cold cache means on it.
IN_IMAGE += $(if $(findstring podman,$(container)),--user 0:0 --security-opt unmask=/sys/dev/block,--user $$(id -u):$$(id -g))
IN_IMAGE += $(if $(filter gpu,$(KIND)),--device nvidia.com/gpu=all)
IN_IMAGE += $(if $(DATA),--volume $(or $(realpath $(DATA)),$(error DATA=$(DATA): there is no such folder; make it first)):/work/results/data)
IN_IMAGE += $(if $(SOURCE),--volume $(or $(realpath $(SOURCE)),$(error SOURCE=$(SOURCE): there is no such folder)):$(abspath $(SOURCE)):ro)

image-run: ## run the workflow in the image; results go to this folder, data there or to DATA=/mnt/fast; SOURCE=/shared/samples shows it a folder that data.source names; takes ARGS
	@found=$$($(container) images --quiet deepcam:$(KIND)) || exit; \
		[ "$$found" ] || { echo "error: there is no image deepcam:$(KIND); first: make image KIND=$(KIND)" >&2; exit 1; }
	@mkdir -p results/data # else docker, to mount DATA, makes it as root
	$(container) $(IN_IMAGE) deepcam:$(KIND) $(ARGS)
