# One command list, the same here and in CI. Everything is installed into .venv at pinned versions.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where torch comes from instead of the usual index, such as https://download.pytorch.org/whl/cpu,
# PyTorch's own builds without CUDA's libraries.
TORCH_INDEX ?=

.PHONY: demo test test-all test-lowest docs lint smoke speed gpu torture clean

# What is installed is said as it comes: of pip's lines those that name a size.
SHOWN = awk '/^ *(Downloading|Using cached) .*[0-9] [kMG]B/ \
    { split($$(NF - 2), name, "-"); size = $$(NF - 1) " " $$NF; \
      if (size !~ /kB/) print "  " name[1] " " name[2] " " size; fflush() } \
    /^Installing collected/ { print "  writing them to $(VENV) ..."; fflush() }'
INSTALL = { $(BIN)/python -m pip install -c constraints.txt $(1) || touch $(VENV)/failed; } | $(SHOWN); \
    if [ -e $(VENV)/failed ]; then rm $(VENV)/failed; exit 1; fi

demo: $(VENV)/core
	$(BIN)/vggfeat demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-all: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or not slow"

# The lowest versions that pyproject.toml allows, in an environment of its own, resolved by uv. What
# old versions warn of is no failure there, and weights are not those that the pinned versions
# trained: others round otherwise. TESTS=tests/cli is a part of it.
LOWEST := dist/lowest
OF_PINNED := tests/test_promises.py::test_an_interrupted_run_goes_on_from_its_checkpoint
test-lowest:
	rm -rf $(LOWEST) && mkdir -p $(LOWEST)
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/uv pip compile --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
	    --extra dev --output-file $(LOWEST)/versions.txt pyproject.toml
	$(LOWEST)/bin/uv pip install --python $(LOWEST)/bin/python --requirements $(LOWEST)/versions.txt
	$(LOWEST)/bin/uv pip install --python $(LOWEST)/bin/python --no-deps --editable .
	$(LOWEST)/bin/python -m pytest -n 2 --dist worksteal -W default --deselect $(OF_PINNED) $(TESTS)
	rm -rf $(LOWEST)

docs: $(VENV)/docs
	$(BIN)/mkdocs build --strict

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

$(VENV)/core: pyproject.toml constraints.txt
	@echo "Installing what vggfeat needs into $(VENV): on Linux up to 3 GB to download and 6 GB on"
	@echo "disk, most of it torch with CUDA's libraries; three minutes or so on a fast line. Without"
	@echo "an NVIDIA GPU a tenth of it will do: make $(MAKECMDGOALS) \\"
	@echo "    TORCH_INDEX=https://download.pytorch.org/whl/cpu"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet -c constraints.txt setuptools
	@if [ -n "$(TORCH_INDEX)" ]; then \
	    $(call INSTALL,--no-deps --index-url $(TORCH_INDEX) torch torchvision); fi
	@$(call INSTALL,--no-build-isolation -e .)
	@touch $@

$(VENV)/installed: $(VENV)/core
	@echo "Installing what the tests need as well: 200 MB to download, a minute or so."
	@$(call INSTALL,--no-build-isolation -e ".[dev]")
	@touch $@

$(VENV)/docs: $(VENV)/core
	@echo "Installing what the documents are built with: 30 MB, some seconds."
	@$(call INSTALL,--no-build-isolation -e ".[docs]")
	@touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info
