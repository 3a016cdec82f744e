# kvmweb's tasks. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
BIN := .venv/bin

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Install what is missing, start everything in the foreground, print the address
	@exec deploy/run

.PHONY: setup
setup: ## Install what is missing for running, and nothing more
	@deploy/setup run

.PHONY: setup-test
setup-test: ## Install what is missing for tests and linters
	@deploy/setup test

.PHONY: test
test: setup-test ## Linters and every test, from a bare machine
	@deploy/test all

.PHONY: chaos
chaos: setup-test ## Power cuts at random moments: SEEDS=200 of them (from FIRST=1 on), or SEED=17 once more
	@CHAOS_SEEDS="$(SEEDS)" CHAOS_FIRST="$(FIRST)" CHAOS_SEED="$(SEED)" deploy/test chaos

.PHONY: attack
attack: setup-test ## The API against what its description allows and forbids: EXAMPLES=100 for each route, or SEED=17 once more
	@ATTACK_EXAMPLES="$(EXAMPLES)" ATTACK_SEED="$(SEED)" deploy/test attack

.PHONY: test-postgres
test-postgres: setup-test ## Every test once more, on a private PostgreSQL
	@deploy/test postgres

.PHONY: test-unit test-integration test-survival test-e2e test-architecture
test-unit test-integration test-survival test-e2e test-architecture: setup-test
	@deploy/test $(@:test-%=%)

.PHONY: lint
lint: setup-test ## Linters and types
	@deploy/test lint

.PHONY: format
format: setup-test ## Let the formatters write
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@node_modules/.bin/biome check --write

.PHONY: bench
bench: setup-test ## Measure, print a table, write var/bench.json
	@$(PYTHON) -m tests.bench

.PHONY: pictures
pictures: setup-test ## Make the README's pictures from the running product
	@DJANGO_ALLOW_ASYNC_UNSAFE=1 $(PYTHON) -m tests.pictures

.PHONY: release-state
release-state: setup-test ## Keep the database of the release that kvmweb/__init__.py names, for the upgrade tests
	@$(PYTHON) -m tests.integration.upgrade.released $(NAME)

.PHONY: messages
messages: setup-test ## Collect texts for translation, compile translations
	@deploy/messages

.PHONY: vendor
vendor: ## Copy browser libraries and used icons to static/vendor
	@node deploy/vendor.mjs

.PHONY: doctor
doctor: ## Say in plain words what is missing or broken
	@$(PYTHON) manage.py doctor

.PHONY: backup
backup: ## Everything that kvmweb knows in one file, also while it runs: make backup FILE=/mnt/kvmweb.tar.gz
	@$(PYTHON) manage.py backup $(FILE)

.PHONY: clean
clean: ## Remove what can be made again (never var/: database and secrets)
	@rm -rf .venv node_modules static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tests/.cache
	@find dashboard kvmweb tests deploy -name __pycache__ -type d -prune -exec rm -rf {} +
	@find dashboard -name '*.mo' -delete
