# Everything runs in .venv, which `setup` fills from requirements.lock; only python3 (3.11 or later) and make are needed.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help setup check test test-long sdk caliper demo bench service docs lock

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

setup: $(STAMP) ## create .venv and install the locked packages and this project into it

check: $(STAMP) ## lint, format, types, layers, and no address, machine path or secret in a tracked file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	$(BIN)/python tests/project/tracked_files.py

test: $(STAMP) ## run the fast tests
	$(BIN)/pytest -q -n auto --maxprocesses 4 --dist loadfile -m "not slow and not crash and not fuzz and not fabric"

test-long: $(STAMP) ## run the long tests: crashes, fuzzing, simulation
	$(BIN)/pytest -q -m "slow or crash or fuzz"

sdk: ## install Fabric's SDK and chaincode shim for Node, with which `make test` then tests the network (needs npm)
	cd tests/sdk && npm ci --omit=optional --no-update-notifier --loglevel=error
	cd tests/sdk/chaincode && npm ci --omit=optional --no-update-notifier --loglevel=error

caliper: $(STAMP) ## run Hyperledger Caliper (npm installs 140 MB of it) against the network
	cd bench/caliper && npm ci --omit=optional --no-update-notifier --loglevel=error
	$(BIN)/python bench/caliper/run.py

demo: $(STAMP) ## run a consortium of four organisations in one process and walk a patient's records through it
	$(BIN)/healthchain demo

bench: $(STAMP) ## measure the promised figures on this machine, into bench/results
	$(BIN)/python bench/figures.py

service: $(STAMP) ## compare the contract's service with a plain chaincode on real Fabric (needs FABRIC_BIN)
	$(BIN)/python bench/service/run.py

docs: $(STAMP) ## make docs/reference/contract.md again from the contract's code
	$(BIN)/python -m tools.make_contract_reference > docs/reference/contract.md.new
	mv docs/reference/contract.md.new docs/reference/contract.md

lock: ## pin pyproject.toml's packages again in requirements.lock (needs uv)
	{ echo '# Every package by hash, for Python 3.11 and later on Linux and macOS. Made by `make lock` from pyproject.toml.'; \
	  uv pip compile -q pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links; } > requirements.lock.new
	mv requirements.lock.new requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@python=; for each in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$each; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo 'HealthChain needs Python 3.11 or later: install it, or name it with make PYTHON=/path/to/python3' >&2; exit 1; fi; \
	echo "Installing into $(VENV) with $$($$python --version)"; \
	if ! $$python -m venv --clear $(VENV); then \
	  echo 'Python cannot make a virtual environment: install its venv package (on Debian: python3-venv)' >&2; exit 1; fi
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
