# Every target does whatever set-up is still missing first; see scripts/setup.sh.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench clean

BIN := .venv/bin
# Tests, demo and benchmarks load programs into the kernel.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo --preserve-env=CI,PYTEST_ADDOPTS)
C_FILES = $(shell git ls-files --cached --others --exclude-standard 'bpf_common/*.[ch]' 'nfpkgs/*.[ch]' 'benchmarks/*.[ch]')

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## install what lint, tests and benchmarks need (apt packages, .venv, bpffs)
	@scripts/setup.sh dev

demo:  ## install a firewall, stitch it into traffic between namespaces, change it under load
	@scripts/setup.sh run
	@$(AS_ROOT) $(BIN)/python -m demo

test: setup  ## run every test: pure ones first, then those that need the kernel (ARGS="..." for pytest)
	@$(AS_ROOT) $(BIN)/python -m pytest --durations=15 --durations-min=1 $(ARGS)

lint: setup  ## ruff, mypy, import-linter, clang-format
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(if $(C_FILES),clang-format --dry-run -Werror $(C_FILES))

bench: setup  ## measure everything beside its yardsticks; writes benchmarks/latest.json (ARGS="--only PATTERN")
	@$(AS_ROOT) $(BIN)/python -m benchmarks $(ARGS)

clean:  ## remove what builds and tools left behind (not .venv)
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
