# Everything from a bare clone: needs Python 3.11+, a C and C++ compiler, make and pip. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SITE := $(VENV)/.site

EMBEDDER := all-minilm-l6-v2
DEMO_MODEL := qwen2.5-coder-1.5b-instruct
TEST_MODEL := smollm2-135m-instruct

QUESTION_1 ?= For how long is former pay protected after redeployment to a lower band?
QUESTION_2 ?= Within how many days must the Trust now pay Quillfen's invoices?

# Where it is set, each of the hundreds of processes that the tests start compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-rest test-all lint types imports budget docs docs-check site pictures bench licences sbom dist try-wheel bundle try-bundle release lock clean
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

# Runs when pyproject.toml or the lock changed. The lock also pins pip (--group needs pip 25.1).
$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "localrag needs Python 3.11 or later; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Setting up $(VENV). llama-cpp-python is built from source the first time: about 5 minutes on 2 cores." \
		"docs/install.md says where ready wheels are."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --upgrade pip
	$(BIN)/python -m pip install --quiet --prefer-binary --constraint requirements.lock --editable . --group dev
	@touch $(INSTALLED)

demo: export LOCALRAG_GENERATOR := $(DEMO_MODEL)
demo: $(INSTALLED) ## Set up, take the models, read examples/ and ask two questions of it
	@$(BIN)/localrag models install $(EMBEDDER)
	@$(BIN)/localrag models install $(DEMO_MODEL)
	@$(BIN)/localrag ingest examples --name examples
	@printf '\n> %s\n\n' "$(QUESTION_1)"
	@$(BIN)/localrag ask "$(QUESTION_1)" --library examples
	@printf '\n> %s\n\n' "$(QUESTION_2)"
	@$(BIN)/localrag ask "$(QUESTION_2)" --library examples
	@printf '\nNext, type one of:\n'
	@printf '  %s\n' '$(BIN)/localrag ask "your own question" --library examples' \
		'$(BIN)/localrag chat examples' '$(BIN)/localrag ingest ~/Documents --name mine' '$(BIN)/localrag --help'

TEST_MODELS := $(BIN)/localrag models install $(EMBEDDER) && $(BIN)/localrag models install $(TEST_MODEL)

test: $(INSTALLED) ## Set up, take the two small test models, run the tests that a change needs
	@$(TEST_MODELS)
	$(BIN)/pytest -m "not slow or smoke"

test-rest: $(INSTALLED) ## Run the tests that `make test` leaves out
	@$(TEST_MODELS)
	$(BIN)/pytest -m "slow and not smoke"

test-all: test test-rest ## Run all tests

lint: $(INSTALLED) ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## Check the types, also as on Windows and macOS
	@$(BIN)/mypy --platform win32 --no-warn-unreachable --cache-dir .mypy_cache/win32 & other=$$!; \
		$(BIN)/mypy && $(BIN)/mypy --platform darwin --no-warn-unreachable --cache-dir .mypy_cache/darwin; \
		mine=$$?; wait $$other && exit $$mine

imports: $(INSTALLED) ## Check the order of imports between rooms
	$(BIN)/lint-imports

budget: ## Compare the lines of each room with the numbers in pyproject.toml
	@$(PYTHON) release/budget.py

docs: $(INSTALLED) ## Regenerate commands, settings, keys, catalog and python in docs/
	$(BIN)/python docs/build.py

docs-check: $(INSTALLED) ## Fail when the generated docs are stale
	$(BIN)/python docs/build.py --check

$(SITE): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --group site
	@touch $(SITE)

site: $(SITE) ## Build the documentation in build/site/; fail on broken links and on requests to other hosts
	$(BIN)/python docs/check_site.py

pictures: $(INSTALLED) ## Draw docs/pictures/: the app and the pages, with the demo model over examples/
	$(BIN)/python docs/pictures.py
	$(BIN)/python docs/browser_pictures.py

bench: $(INSTALLED) ## Run every script in benchmarks/
	@$(BIN)/localrag models install $(EMBEDDER)
	@$(BIN)/localrag models install $(TEST_MODEL)
	@set -e; for script in benchmarks/*.py; do \
		test -e "$$script" || { echo "benchmarks/ holds no script yet"; exit 0; }; \
		echo "== $$script"; $(BIN)/python "$$script"; done

licences: $(INSTALLED) ## List the licences of all packages; fail if one is not permissive
	@$(BIN)/python release/packages.py licences

sbom: $(INSTALLED) ## Write a bill of materials to localrag.cdx.json (CycloneDX)
	@$(BIN)/python release/packages.py sbom localrag.cdx.json

dist: $(INSTALLED) ## Build the wheel and the source archive in dist/
	@$(BIN)/python release/release.py dist

try-wheel: dist ## Install the wheel with uv, pip and pipx, and ask a question with each
	@$(BIN)/localrag models install $(EMBEDDER)
	@release/try_wheel.sh

bundle: $(INSTALLED) ## Build the folder with Python inside: dist/localrag-*.tar.gz and .deb (20 minutes at first)
	@$(BIN)/localrag models install $(EMBEDDER)
	@$(BIN)/python release/bundle.py

try-bundle: bundle ## Try the bundle in an empty Debian; needs root and debootstrap
	@$(BIN)/localrag models install $(TEST_MODEL)
	@release/try_bundle.sh

release: $(INSTALLED) ## Build, list and sign the files of a release: make release KEY=~/.ssh/NAME
	@$(BIN)/python release/release.py release "$(KEY)"

# Versions only: no address, no hash, and no local suffix (+cpu), so that the lock fits every platform.
lock: $(INSTALLED) ## Update requirements.lock to the newest versions allowed
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install --upgrade --upgrade-strategy eager --editable . --group dev --group site
	@{ echo "# The versions that make and CI install, used as constraints. Remade by: make lock"; \
		$(BIN)/python -m pip freeze --all --exclude-editable --exclude localrag | sed -E 's/\+[A-Za-z0-9.]+$$//'; \
	} > requirements.lock.new
	mv requirements.lock.new requirements.lock
	@touch $(INSTALLED) $(SITE)

clean: ## Delete .venv, caches and build leftovers; libraries and models stay
	rm -rf $(VENV) .cache build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache snapshot_report.html
	find localrag tests docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
