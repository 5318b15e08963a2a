# `make demo` and `make test` set everything up by themselves; the rest is for those who work on the code.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test peers test-jax lint format clean

demo: $(READY)
	@$(BIN)/keras-attn demo

test: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

# PyTorch and JAX, which some tests compare with. The pinned PyTorch may bring its CUDA packages on Linux.
peers: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,peers]'

test-jax: peers
	KERAS_BACKEND=jax $(BIN)/python -m pytest tests/test_masks.py tests/test_positions.py \
	  tests/layers/test_sinusoidal_positional_encoding.py tests/layers/test_learned_positional_embedding.py \
	  tests/layers/test_positionwise_feed_forward.py tests/layers/test_residual_connection.py \
	  tests/layers/test_gated_convolution.py tests/layers/test_luong_attention.py

lint: $(READY)
	$(BIN)/ruff check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "keras_attn needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>&1)." ; \
	  echo "Install one and name it: make PYTHON=python3.11 $(MAKECMDGOALS)" ; exit 1 ; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: its modules venv and ensurepip are missing." ; \
	  echo "On Debian and Ubuntu: apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" ; \
	  exit 1 ; } >&2
	@echo "Setting up $(VENV): TensorFlow and what else is needed, about 2.5 GB on disk."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
