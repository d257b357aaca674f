# make run: the example campaign, for real. make screen: the published study's 70 configurations. make test: the tests.
# Each builds what it needs in $(VENV) first.
PYTHON ?= python3
VENV ?= .venv
CAMPAIGN ?= campaigns/cs4pbbr6-one-k
SCREEN ?= campaigns/cs4pbbr6-screen
# Its wheel for the CPU alone (0.2 GB) is taken where the index has one; PIP_EXTRA_INDEX_URL can name PyTorch's own index.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
# Calculations run side by side, so each keeps to one thread.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: run screen test test-all lint types bench clean-venv
.DELETE_ON_ERROR:

run: $(VENV)/engine.stamp
	@mkdir -p "$(CAMPAIGN)"
	@test -f "$(CAMPAIGN)/kalloy.toml" || cp examples/cs4pbbr6-one-k/kalloy.toml "$(CAMPAIGN)/"
	$(BIN)/kalloy run "$(CAMPAIGN)"

screen: $(VENV)/engine.stamp $(VENV)/chgnet.stamp
	@mkdir -p "$(SCREEN)"
	@test -f "$(SCREEN)/kalloy.toml" || cp examples/cs4pbbr6-screen/static.yaml examples/cs4pbbr6-screen/kalloy.toml "$(SCREEN)/"
	$(BIN)/kalloy run "$(SCREEN)"

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

$(VENV)/chgnet.stamp: $(VENV)/base.stamp
	@echo "installing PyTorch and CHGNet, once: a minute or so"
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	$(BIN)/python -m pip install --quiet --editable '.[chgnet]'
	touch $@

$(VENV)/dev.stamp: $(VENV)/base.stamp
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

clean-venv:
	rm -rf $(VENV)
