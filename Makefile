# `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo test up down backup restore bench lint audit lock schema docs browser promtool screenshot clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Compiled modules are kept: without them every Airflow process compiles torch again.
unexport PYTHONDONTWRITEBYTECODE
export UV_LINK_MODE ?= copy

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

install: .venv/installed ## Create .venv with the pinned requirements

# torch comes first and through pip: pip honours a CPU build offered by the machine's own pip configuration
# (find-links, extra index), which saves the CUDA libraries that PyPI's build brings along.
.venv/installed: requirements.txt pyproject.toml
	@infra/check_python.sh "$(PYTHON)"
	@echo "Installing into .venv (a few minutes the first time) ..."
	@"$(PYTHON)" -m venv --clear .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.txt torch uv 2>&1 \
		| { grep -v '^WARNING: Location' || true; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --requirements requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: install ## The whole journey on MovieLens-100K, about a quarter of an hour
	@$(BIN)/python -m liber_tasks.local demo

up: install ## Start the local stack and leave it running
	@$(BIN)/python -m liber_tasks.local up

down: install ## Stop the local stack
	@$(BIN)/python -m liber_tasks.local down

backup: install ## Back up the running local stack into LIBER_BACKUPS
	@$(BIN)/python -m liber_tasks.local backup

restore: install ## The stopped local stack as it was: make restore TO=2026-01-31T12:00:00Z
	@$(BIN)/python -m liber_tasks.local restore $(if $(TO),--to $(TO))

test: install browser promtool lint ## The whole test suite
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: install ## ruff, mypy, import-linter, sqlfluff, squawk, detect-secrets
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint sql
	@$(BIN)/squawk sql/migrations/*.sql
	@infra/scan_secrets.sh $(BIN)

audit: install ## Known vulnerabilities of the pinned requirements (asks an advisory database)
	@infra/audit.sh $(BIN)

bench: install ## A benchmark: make bench NAME=calls
	@$(BIN)/python -m tests.bench $(NAME)

lock: install ## Compile requirements.in to requirements.txt
	@$(BIN)/uv pip compile --quiet --no-header --annotation-style line --python-version 3.11 \
		--output-file requirements.txt requirements.in

schema: install ## Write sql/schema.sql from the migrations
	@$(BIN)/python -m liber_tasks.local.schema

docs: install ## Write docs/reference from the code
	@$(BIN)/python infra/reference.py docs/reference

promtool:
	@infra/check_promtool.sh $(BIN)

browser:
	@infra/check_browser.sh

screenshot: install browser ## Take the README's picture from the running stack
	@$(BIN)/python infra/screenshot.py "$$($(BIN)/python -m liber_tasks.local url dashboard)/readout" docs/dashboard.png \
		--height 1250 --wait-for "How these numbers were made"

clean: down ## Stop the stack and delete its data and .venv
	@rm -rf var .venv
