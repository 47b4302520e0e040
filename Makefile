# Everything this project can do, one target each. Needs Python 3.11 or newer and make; all else goes into .venv.
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# An editable install warns about folders named like packages; ours are meant to be.
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip --disable-pip-version-check --quiet
SUPPORTED := import sys; sys.exit(sys.version_info < (3, 11))

# A name on the PATH proves nothing (a version manager leaves shims behind): each candidate is run.
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED)' >/dev/null 2>&1 && { echo $$p; break; }; done)
endif

.PHONY: help demo test check lint bench tck interop setup setup-ci dist clean
help:
	@echo 'make demo     two hospitals on this machine: publish, negotiate, transfer, enforce (ARGS=--once: and exit)'
	@echo 'make test     everything the project promises, tested; with Java and Maven the conformance kit too'
	@echo 'make check    the quick gate: ruff, mypy --strict, the tests that take seconds'
	@echo 'make tck      the conformance kit of the Dataspace Protocol alone'
	@echo 'make interop  against a real Eclipse EDC, both directions: a table of what works'
	@echo 'make bench    measures, and writes a table into benchmarks/'
	@echo 'make dist     wheel and sdist into dist/'
	@echo 'make setup-ci what a test needs beyond Python (Java, Maven, Node), by apt; as root'

demo: $(VENV)/.demo
	@$(BIN)/connector demo $(ARGS)

test: $(VENV)/.test
	@$(BIN)/python -m pytest $(ARGS)

check: lint
	@$(BIN)/python -m pytest -q -m 'not conformance and not slow' $(ARGS)

lint: $(VENV)/.test
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy

tck: $(VENV)/.test
	@$(BIN)/python -m pytest -q -s tests/conformance/test_dsp_kit.py $(ARGS)

interop: $(VENV)/.test
	@$(BIN)/python -m pytest -q tests/conformance/edc $(ARGS)

bench: $(VENV)/.test
	@$(BIN)/python -m benchmarks $(ARGS)

dist: $(VENV)/.test
	@$(BIN)/python -W ignore -c 'from setuptools import build_meta as b; b.build_sdist("dist"); b.build_wheel("dist")' >/dev/null
	@ls dist

setup: $(VENV)/.test

# One environment, filled in two steps: the demo does not wait for the tools of the tests.
$(VENV)/.demo: setup.cfg pyproject.toml | $(BIN)/python
	@echo 'installing the connector and the demo data into $(VENV) ...'
	@$(PIP) install --editable '.[demo]'
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml | $(BIN)/python
	@echo 'installing the connector and the test tools into $(VENV) ...'
	@$(PIP) install --editable '.[demo,test]'
	@touch $@ $(VENV)/.demo

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed and none was found. Install it, or name it: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c '$(SUPPORTED)' || { echo '$(PYTHON) is older than Python 3.11: name a newer one with make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) cannot make a virtual environment: install its venv package (Debian, Ubuntu: apt-get install python3-venv)' >&2; exit 1; }
	@echo 'making a virtual environment in $(VENV) with $(PYTHON) ...'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip

setup-ci:
	@need=; \
	command -v javac >/dev/null || need="$$need default-jdk-headless"; \
	command -v mvn >/dev/null || need="$$need maven"; \
	command -v git >/dev/null || need="$$need git"; \
	command -v curl >/dev/null || need="$$need curl"; \
	command -v openssl >/dev/null || need="$$need openssl"; \
	command -v node >/dev/null || need="$$need nodejs"; \
	command -v npm >/dev/null || need="$$need npm"; \
	test -n '$(PYTHON)' || need="$$need python3"; \
	$(or $(PYTHON),python3) -c 'import ensurepip' 2>/dev/null || need="$$need python3-venv"; \
	test -z "$$need" || { echo "installing$$need ..."; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$need; }

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
