# Every command sets up .venv itself; it needs Python 3.11 to 3.13 and nothing else.
PYTHON ?= python3
TESTS ?= -m "not long"
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs check-slow check-long check-package clean

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
	rm -rf $(VENV) demo site
