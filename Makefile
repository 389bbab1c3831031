# Every target sets itself up: Python >= 3.11 and make are all that must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
CHECKOV := .local/checkov
# More than cores, as many tests wait: for a process that is given time to end, or a limit to be reached.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, 2 * (os.cpu_count() or 1)))')
COMPILE := pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.DEFAULT_GOAL := help
.PHONY: help demo run cluster gateway test fuzz prove-soak prove-races test-cluster manifests check check-infra lock bench docs format clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=...") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what is pinned in requirements-dev.txt (once; takes a minute) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -e .
	@touch $@

# Apart from the rest: it brings a hundred packages that nothing else needs.
$(CHECKOV)/ready: requirements-checkov.lock
	@test -x $(CHECKOV)/bin/python || $(PYTHON) -m venv $(CHECKOV)
	@echo "Installing checkov (once; takes a minute) ..."
	@$(CHECKOV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-checkov.lock
	@touch $@

demo: $(READY) ## Do the main job over HTTP on a local cluster, step by step
	@$(BIN)/python -m local.demo

run: $(READY) ## Laptop edition: local cluster and all functions, at http://localhost:8080 (PORT)
	@$(BIN)/python -m local.serve --laptop

cluster: $(READY) ## The local cluster alone; prints the export KUBECONFIG=... line
	@$(BIN)/python -m local.images >/dev/null
	@$(BIN)/python -m local.cluster --dir .local/cluster --images .local/images

gateway: $(READY) ## All functions under one host, against what the environment names
	@$(BIN)/python -m local.serve

test: $(READY) ## All tests
	@$(BIN)/python -m local.images >/dev/null
	@$(BIN)/python -m pytest -q --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

fuzz: $(READY) ## Property tests with examples that no run has had before
	@grep -rl "^@given" tests | xargs $(BIN)/python -m pytest -q --hypothesis-profile fuzz

prove-soak: $(READY) ## 2,000 commands, 200 at once; make test has 400 of them
	@$(BIN)/python -m local.images >/dev/null
	@PROVE=1 $(BIN)/python -m pytest -q tests/contract/test_soak.py

prove-races: $(READY) ## 100 rounds of each race for a file; make test has 40
	@PROVE=1 $(BIN)/python -m pytest -q tests/shared/files/test_races.py

test-cluster: $(READY) ## Contract tests on a real cluster, as a user with the Roles: KUBECONFIG=... SESSION_IMAGE=...
	@test -n "$(KUBECONFIG)" || { echo "set KUBECONFIG and SESSION_IMAGE" >&2; exit 2; }
	@CONTRACT_CLUSTER=real $(BIN)/python -m pytest -q tests/contract

manifests: $(READY) ## The cluster's objects as YAML, for kubectl apply -f -
	@$(BIN)/python -m local.manifests

check: $(READY) ## Lint, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/shellcheck shared/*/*.sh
	@$(BIN)/shellcheck -x -P . scripts/*

check-infra: $(READY) $(CHECKOV)/ready ## Terraform, image and pipeline, without a cloud
	@$(BIN)/hadolint Dockerfile
	@scripts/check-terraform infra/terraform/*/ infra/terraform/workloads/objects/
	@$(CHECKOV)/bin/checkov --directory infra/terraform --framework terraform --compact --quiet --skip-download
	@$(BIN)/python -m pytest -q tests/infra

lock: $(READY) ## Write requirements.lock and requirements-build.lock: every version and hash of the image
	@$(BIN)/$(COMPILE) --output-file=requirements.lock requirements.txt
	@$(BIN)/$(COMPILE) --output-file=requirements-checkov.lock requirements-checkov.txt
	@$(BIN)/$(COMPILE) --only-build-deps --build-deps-for=wheel --output-file=requirements-build.lock pyproject.toml

format: $(READY) ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: $(READY) ## Ratios against a bare WebSocket, kubectl and an empty function
	@$(BIN)/python -m local.images >/dev/null
	@$(BIN)/python -m bench

docs: $(READY) ## Write the settings table of README.md
	@$(BIN)/python -m local.settings_table

clean: ## Remove what the targets made
	rm -rf $(VENV) .local build *.egg-info
