# Two commands do all the set-up: `make demo` and `make test`. Each builds the environment it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLE := src/napari_pffnet/sample_data/images/u2os.tif
DEBIAN := xvfb libegl1 libgl1 libgl1-mesa-dri libxkbcommon-x11-0 libdbus-1-3 libxcb-cursor0 libxcb-icccm4 libxcb-image0 \
	libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xinput0

SCREEN := xvfb-run -a -s "-screen 0 1366x768x24"

.PHONY: demo test napari screenshots lint system clean
.DELETE_ON_ERROR:

demo: $(VENV)/.core  ## segment the sample image
	$(BIN)/napari-pffnet segment $(SAMPLE) --output demo-output

test: $(VENV)/.dev system  ## run all tests
	$(SCREEN) $(BIN)/python -m pytest

napari: $(VENV)/.dev  ## open the viewer with the widget and the sample
	$(BIN)/napari --with napari-pffnet -- $(SAMPLE)

screenshots: $(VENV)/.dev system  ## make the pictures of the guide
	$(SCREEN) $(BIN)/python docs/screenshots.py

lint: $(VENV)/.dev  ## style and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

system:  ## what GUI tests need from the operating system
	@sh .ci/system-packages $(DEBIAN)

# torch and torchvision go in one command so that pip picks a pair that fits together.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.core: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet torch torchvision
	$(BIN)/pip install --quiet -e .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/pip install --quiet -e ".[all,dev]"
	touch $@

clean:
	rm -rf $(VENV) demo-output
