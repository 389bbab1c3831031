# Every target sets itself up: Python >= 3.11 and make are all that must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
CHECKOV := .local/checkov
# kubeconfig: the cluster of KUBECONFIG or ~/.kube/config. Only whoever says so on the command line gets it.
CLUSTER := local
# Each of a test run's processes would compile all tests anew.
unexport PYTHONDONTWRITEBYTECODE
LOCKER := .local/locker
# One lock serves every Python from 3.11 on and every platform. No settings of the machine's decide what is in it.
COMPILE := $(LOCKER)/bin/uv pip compile --no-config --no-cache --quiet --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help demo run cluster gateway server test fuzz test-cluster image-folder manifests prove-groups prove-faults prove-fuzzing prove-soak prove-races prove-files check check-infra lock bench docs format clean
# More than cores, as many tests wait: for a process that is given time to end, or a limit to be reached.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, 3 * (os.cpu_count() or 1)))')

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements-dev.lock pyproject.toml local/environment.py
	@$(PYTHON) local/environment.py $(VENV) requirements-dev.lock --project .

# Apart from the rest: it brings a hundred packages that nothing else needs.
$(CHECKOV)/ready: requirements-checkov.lock local/environment.py
	@$(PYTHON) local/environment.py $(CHECKOV) requirements-checkov.lock

$(LOCKER)/ready: requirements-lock.lock local/environment.py
	@$(PYTHON) local/environment.py $(LOCKER) requirements-lock.lock

demo: $(READY) ## Do the main job over HTTP on a local cluster, step by step (CLUSTER=kubeconfig: on that one)
	@$(BIN)/python -m local.demo --cluster $(CLUSTER)

run: $(READY) ## Laptop edition: local cluster and all functions, at http://localhost:8080 (PORT, CLUSTER=kubeconfig)
	@$(BIN)/python -m local.serve --laptop --cluster $(CLUSTER)

cluster: $(READY) ## The local cluster alone; prints the export KUBECONFIG=... line
	@$(BIN)/python -m local.images >/dev/null
	@$(BIN)/python -m local.cluster --dir .local/cluster --images .local/images

gateway: $(READY) ## All functions under one host, against what the environment names
	@$(BIN)/python -m local.serve

server: $(READY) ## As gateway, but nothing is assumed: AUTH_MODE, the store and the namespace are as the environment has them
	@$(BIN)/python -m server

test: $(READY) ## All tests (COVERAGE=1: tells what of the code they ran, and fails when that is too little)
	@$(BIN)/python -m local.images >/dev/null
	@$(BIN)/python -m pytest -q --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder \
		$(if $(COVERAGE),--cov --cov-report=)
	@$(if $(COVERAGE),$(BIN)/python -m tests.support.covered)

fuzz: $(READY) ## Property tests with examples that no run has had before
	@grep -rl "^@given" tests | xargs $(BIN)/python -m pytest -q --hypothesis-profile fuzz

prove-groups: $(READY) ## Demo, contract and cluster tests where the kernel refuses namespaces
	@$(BIN)/python -m tests.support.without_namespaces $(BIN)/python -m local.demo
	@PROVE=tests $(BIN)/python -m tests.support.without_namespaces $(BIN)/python -m pytest -q --numprocesses auto \
		--maxprocesses 4 --dist loadfile tests/contract tests/local

prove-faults: $(READY) ## All faults at every call; make test tries a fifth of them
	@PROVE=1 $(BIN)/python -m pytest -q --numprocesses 3 --dist loadfile tests/faults

prove-fuzzing: $(READY) ## Fuzzing with 40 examples of each operation; make test has 8
	@PROVE=1 $(BIN)/python -m pytest -q tests/openapi/test_fuzzing.py

prove-soak: $(READY) ## 2,000 commands, 200 at once; make test has 400 of them
	@$(BIN)/python -m local.images >/dev/null
	@PROVE=1 $(BIN)/python -m pytest -q tests/contract/test_soak.py

prove-races: $(READY) ## 100 rounds of each race for a file; make test has 40
	@PROVE=1 $(BIN)/python -m pytest -q tests/shared/core/files/test_races.py

prove-files: $(READY) ## 1,000 files one by one, 5,000 in a tar, long ones under all shells; make test has a part
	@$(BIN)/python -m local.images >/dev/null
	@PROVE=1 $(BIN)/python -m pytest -q tests/contract/test_files.py tests/contract/test_large_files.py -k many
	@PROVE=1 $(BIN)/python -m pytest -q tests/shared/core/files/test_put_script.py -k known_to_be_long

test-cluster: $(READY) ## Contract tests on a real cluster, as a user with the Roles: KUBECONFIG=... SESSION_IMAGE=...
	@test -n "$(KUBECONFIG)" || { echo "set KUBECONFIG and SESSION_IMAGE" >&2; exit 2; }
	@CONTRACT_CLUSTER=real $(BIN)/python -m pytest -q tests/contract

image-folder: $(READY) ## The session image as a folder, for clusters without a registry: make image-folder DIR=...
	@test -n "$(DIR)" || { echo "set DIR" >&2; exit 2; }
	@$(BIN)/python -m local.rootfs "$(DIR)"

manifests: $(READY) ## The cluster's objects as YAML, for kubectl apply -f -
	@$(BIN)/python -m local.manifests

check: $(READY) ## Lint, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/shellcheck shared/*/*/*.sh
	@$(BIN)/shellcheck -x -P . scripts/*

check-infra: $(READY) $(CHECKOV)/ready ## Terraform, image and pipeline, without a cloud
	@$(BIN)/hadolint Dockerfile
	@scripts/check-terraform infra/terraform/*/ infra/terraform/workloads/objects/ infra/terraform/platform/functions/
	@$(CHECKOV)/bin/checkov --directory infra/terraform --framework terraform --compact --quiet --skip-download
	@$(BIN)/python -m pytest -q tests/infra

lock: $(LOCKER)/ready ## Write all locks: every version and hash of what is installed anywhere
	@$(COMPILE) --python-platform x86_64-manylinux_2_28 requirements.txt --output-file requirements.lock >/dev/null
	@$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(COMPILE) --universal - --output-file requirements-build.lock >/dev/null
	@$(COMPILE) --universal requirements-dev.txt requirements-build.lock --constraint requirements.lock --output-file requirements-dev.lock >/dev/null
	@$(COMPILE) --universal requirements-checkov.txt --output-file requirements-checkov.lock >/dev/null
	@$(COMPILE) --universal requirements-lock.txt --output-file requirements-lock.lock >/dev/null
	@cd images/gam-session && $(abspath $(LOCKER))/bin/uv $(wordlist 2,99,$(COMPILE)) --universal requirements.txt --output-file requirements.lock >/dev/null

format: $(READY) ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: $(READY) ## Ratios against a bare WebSocket, kubectl and an empty function
	@$(BIN)/python -m local.images >/dev/null
	@$(BIN)/python -m bench

docs: $(READY) ## Write README.md's tables: functions, settings, and what tests need
	@$(BIN)/python -m local.readme_tables
	@$(BIN)/python -m tests.support.needs >/dev/null

clean: ## Remove what the targets made
	rm -rf $(VENV) .local .coverage* build *.egg-info .hypothesis .schemathesis .*_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
