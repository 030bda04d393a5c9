# One command list, the same here and in CI. Everything is installed into .venv at pinned versions.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all lint smoke speed gpu torture clean

demo: $(VENV)/installed
	$(BIN)/vggfeat demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-all: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or not slow"

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Speed beside peers and the machine's limits, into results/speed; the machine should do nothing else.
speed: $(VENV)/installed
	$(BIN)/vggfeat bench-speed

# For whoever has an NVIDIA GPU: every path on it against the CPU, then speed beside its limits, into
# results/speed, in eight minutes. Installs nothing: $(PYTHON) must have torch >= 2.11, h5py and the
# other dependencies. GPU_OPTIONS are those of `vggfeat bench-speed`: --out FOLDER, --repeats N.
gpu:
	$(PYTHON) tests/gpu/measure_on_gpu.py $(GPU_OPTIONS)

# Kills, flipped bits, full disks, hostile files, mutated inputs: an hour, into results/reliability.
torture: $(VENV)/installed
	mkdir -p results/reliability
	cd tests && ../$(BIN)/python -m torture > ../results/reliability/torture.txt; \
	    status=$$?; cat ../results/reliability/torture.txt; exit $$status

# The wheel as a user gets it, in an environment of its own, away from this folder.
smoke:
	rm -rf build dist/smoke && mkdir -p dist/smoke
	$(PYTHON) -m venv dist/smoke/venv
	dist/smoke/venv/bin/pip install --quiet -c constraints.txt setuptools
	dist/smoke/venv/bin/pip wheel --quiet --no-deps --no-build-isolation -w dist/smoke .
	rm -rf build
	dist/smoke/venv/bin/pip install --quiet -c constraints.txt dist/smoke/vggfeat-*.whl
	cd dist/smoke && venv/bin/vggfeat --version && venv/bin/vggfeat demo --cache-dir cache
	rm -rf dist/smoke

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt setuptools
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
