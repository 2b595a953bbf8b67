# Every target sets up what it needs. `make` shows them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .tools
UV := $(BIN)/uv
UV_SYNC = $(UV) pip sync --quiet --require-hashes

export SAM_CLI_TELEMETRY := 0
# Hundreds of processes start in the tests; each would compile anew all that it imports.
export PYTHONDONTWRITEBYTECODE :=
export PATH := $(CURDIR)/$(BIN):$(PATH)

# uv keeps what it downloads in the user's cache, and fails where there can be none. The functions'
# builds, which start from here, call it too.
UV_CACHE_DIR ?= $(or $(XDG_CACHE_HOME),$(if $(HOME),$(HOME)/.cache),$(CURDIR)/$(TOOLS))/uv
ifneq ($(shell mkdir -p "$(UV_CACHE_DIR)" 2>/dev/null && test -w "$(UV_CACHE_DIR)" && echo yes),yes)
override UV_CACHE_DIR := $(CURDIR)/$(TOOLS)/cache
endif
export UV_CACHE_DIR

.PHONY: help
help: ## Show the targets
	@echo "make TARGET, where TARGET is one of:"
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.ready $(TOOLS)/ministack/.ready $(TOOLS)/sam/.ready ## Install everything, pinned, below this folder

# A stamp is only touched when its environment is complete, so an interrupted set-up starts over.
$(VENV)/.uv: requirements/uv.txt
	@command -v $(PYTHON) >/dev/null \
		|| { echo "there is no $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11, or does not run: name a newer one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make environments: install its venv module (python3-venv on Debian and Ubuntu)" >&2; exit 2; }
	@echo "Setting up $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# uv itself is part of what is synchronised, or it would remove itself. It takes a package that was
# half installed when it was interrupted for a whole one, so then all are installed again. All is compiled
# once, on all cores: otherwise each of the tests' processes does that at the same time.
$(VENV)/.ready: $(VENV)/.uv requirements/dev.txt requirements/uv.txt pyproject.toml
	@again=$$(test ! -e $(VENV)/.begun || echo --reinstall); touch $(VENV)/.begun; \
		$(UV_SYNC) $$again --compile-bytecode --python $(BIN)/python requirements/dev.txt requirements/uv.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@rm $(VENV)/.begun
	@touch $@

# AWS's package asks for Python 3.14, and runs on those before.
$(TOOLS)/conformance/.ready: UV_SYNC += --python-version 3.14

$(TOOLS)/%/.ready: requirements/%.txt $(VENV)/.uv
	@echo "Setting up $(TOOLS)/$*"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(TOOLS)/$*
	@$(UV_SYNC) --python $(TOOLS)/$*/bin/python $<
	@touch $@

.PHONY: demo
demo: setup ## Watch messages flow, a worker die, the execution resume
	@$(BIN)/pipelinectl demo

.PHONY: up
up: setup ## Start the local cloud and deploy the pipeline to it
	@$(BIN)/pipelinectl local up

.PHONY: down
down: setup ## Stop the local cloud
	@$(BIN)/pipelinectl local down

# More processes than two cores have: those with a local cloud wait for it half of the time.
TEST_ARGS ?= -n 4

.PHONY: browser
browser: setup ## Find a Chromium for the tests of the console, or unpack Debian's below this folder
	@$(BIN)/python -m tests.chromium

.PHONY: postgres
postgres: setup ## Find a Postgres for the tests of the sinks, or unpack Debian's below this folder
	@$(BIN)/python -m tests.postgres

.PHONY: screenshots
screenshots: up browser ## Take the pictures of the console's pages anew, of the local cloud
	@$(BIN)/python -m docs.screenshots

.PHONY: test
test: setup browser postgres ## Run the tests: unit, integration, end to end on a local cloud of their own
	@$(BIN)/python -m pytest $(TEST_ARGS) tests/unit tests/integration tests/e2e

.PHONY: docs-test
docs-test: setup ## Run every command of the guides, on a local cloud of their own
	@$(BIN)/python -m pytest tests/guides

# As it goes; with -n 3, without what it prints, side by side.
CHAOS_ARGS ?= -s

.PHONY: chaos
chaos: setup ## Kill things under load and count (CHAOS_SEED, CHAOS_SECONDS, CHAOS_MESSAGES, CHAOS_BATCH, LARGE_FILE_MB, LARGE_FILE_ROWS)
	@$(BIN)/python -m pytest $(CHAOS_ARGS) tests/chaos

.PHONY: bench
bench: setup postgres $(TOOLS)/bench/.ready ## Measure beside what one would pick instead (BENCH_ARGS="--out docs/benchmarks")
	@PYTHONPATH=src:. $(BIN)/python -m benchmarks $(BENCH_ARGS)

.PHONY: conformance
conformance: setup $(TOOLS)/conformance/.ready ## Run AWS's conformance tests on a local cloud (ONLY="wait plugin 1-11")
	@$(BIN)/python -m conformance $(ONLY)

.PHONY: bench-console
bench-console: up ## Time the pages of the console with 10,000 items and 1,000 dead letters
	@PYTHONPATH=src:. $(BIN)/python -m benchmarks.console

.PHONY: bench-growth
bench-growth: setup $(TOOLS)/bench/.ready ## Send 100,000 messages through a local cloud and see what grows (GROWTH_ARGS="--messages 5000")
	@PYTHONPATH=src:. $(BIN)/python -m benchmarks.growth $(GROWTH_ARGS)

.PHONY: bench-rows
bench-rows: setup ## Measure rows of a file as items (BENCH_ROWS=1000000)
	@PYTHONPATH=src:. $(BIN)/python -m benchmarks.row_items

.PHONY: check
check: setup lint test ## All that CI checks: format, lint, types, template, tests

.PHONY: lint
lint: setup
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy src pipelinectl localcloud faults benchmarks conformance docs examples tests
	@$(BIN)/cfn-lint template.yaml examples/*/template.yaml examples/sinks/*/template.yaml benchmarks/reference/template.yaml
	@$(BIN)/cfn-lint --ignore-checks W1100 W3001 -- conformance/template.yaml # it merges, and AWS's runner reads a key of its own
	@AWS_DEFAULT_REGION=us-east-1 $(TOOLS)/sam/bin/sam validate --lint

.PHONY: docs
docs: setup ## Write the references and the table of the doctor anew, from the code and the template
	@$(BIN)/python -m docs.generate

.PHONY: lock
lock: setup ## Pin the newest versions that requirements/*.in and src/*/requirements.in allow
	@for name in uv dev ministack sam bench; do \
		$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-header --no-annotate requirements/$$name.in --output-file requirements/$$name.txt; \
	done
	@$(UV) pip compile --quiet --upgrade --universal --python-version 3.14 --generate-hashes \
		--no-header --no-annotate requirements/conformance.in --output-file requirements/conformance.txt
	@for folder in src/*/ benchmarks/reference/src/ conformance/layer/ examples/probe/ examples/sinks/postgres/function/; do [ ! -f $$folder/requirements.in ] || \
		$(UV) pip compile --quiet --upgrade --python-version 3.14 --python-platform aarch64-manylinux2014 \
			--constraint requirements/dev.txt --generate-hashes --no-header --no-annotate \
			$$folder/requirements.in --output-file $$folder/requirements.txt; \
	done

.PHONY: clean
clean: ## Stop the local cloud and remove everything that was set up or built
	@if [ -x $(BIN)/pipelinectl ]; then $(BIN)/pipelinectl local down; fi
	@rm -rf $(VENV) $(TOOLS) .local .bench .conformance .aws-sam .hypothesis .mypy_cache .pytest_cache .ruff_cache
