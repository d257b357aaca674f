# make run: the example campaign, for real. make test: the tests. Both build what they need in $(VENV) first.
PYTHON ?= python3
VENV ?= .venv
CAMPAIGN ?= campaigns/cs4pbbr6-one-k
BIN := $(VENV)/bin
# Calculations run side by side, so each keeps to one thread.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: run test test-all lint types bench clean-venv
.DELETE_ON_ERROR:

run: $(VENV)/engine.stamp
	@mkdir -p "$(CAMPAIGN)"
	@test -f "$(CAMPAIGN)/kalloy.toml" || cp examples/cs4pbbr6-one-k/kalloy.toml "$(CAMPAIGN)/"
	$(BIN)/kalloy run "$(CAMPAIGN)"

test: $(VENV)/engine.stamp $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow" $(ARGS)

test-all: $(VENV)/engine.stamp $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

bench: $(VENV)/engine.stamp $(VENV)/dev.stamp
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

$(VENV)/base.stamp: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kalloy needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# GPAW comes as source. It is built with g++ alone (no BLAS, no libxc: PBE is built in), and past pip's cache, which would
# hand back a build made with another configuration.
$(VENV)/engine.stamp: $(VENV)/base.stamp workflows/gpaw_engine/gpaw_siteconfig.py
	@command -v g++ >/dev/null || { echo "kalloy-gpaw needs g++ to build GPAW: install it (Debian: apt-get install g++)"; exit 2; }
	@echo "building GPAW, once: one to three minutes"
	GPAW_CONFIG="$(CURDIR)/workflows/gpaw_engine/gpaw_siteconfig.py" $(BIN)/python -m pip install --quiet --no-cache-dir --editable '.[gpaw]'
	touch $@

$(VENV)/dev.stamp: $(VENV)/base.stamp
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

clean-venv:
	rm -rf $(VENV)
