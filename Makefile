# `make demo` and `make test` set everything up by themselves; the rest is for those who work on the code.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all peers test-jax test-instruction-sets test-servers test-wheel test-wheel-quick test-bare lint format clean

demo: $(READY)
	@$(BIN)/keras-attn demo

test: lint
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m 'not exhaustive'

# `make test`, then what takes long or repeats in another combination what that has proven.
test-all: test
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m exhaustive

# PyTorch, JAX, CTranslate2 and the Kubernetes client, which some tests compare with. The pinned PyTorch may bring its CUDA packages on Linux.
peers: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,peers]'

# Everything that runs on any backend. Almost all of the time goes into compiling what runs once: XLA finds again here what it has compiled before.
JAX_TESTS := $(addprefix tests/,ops checks layers losses contracts/test_layers.py contracts/test_models.py models/test_encoded_states.py)

test-jax: peers
	KERAS_BACKEND=jax JAX_COMPILATION_CACHE_DIR=$(abspath $(VENV))/.jax JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
	  $(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(JAX_TESTS)

# The numerically sensitive tests as lesser processors run them, and the tokens of exports under every instruction set.
test-instruction-sets: $(READY)
	$(BIN)/python tests/instruction_sets.py

# Exports in TensorFlow 2.16 to 2.20, in environments of their own below .venv/servers: 7 GB on disk.
test-servers: $(READY)
	$(BIN)/python tests/servers/run.py

# The wheel, installed into fresh environments: with the pinned, newest and oldest versions, on every Python that is present.
test-wheel: $(READY)
	$(BIN)/python tests/wheel/run.py

# The same with the packages of $(VENV): nothing but the wheel itself is installed.
test-wheel-quick: $(READY)
	$(BIN)/python tests/wheel/run.py --quick

# The wheel without an extra, in an environment with JAX and without TensorFlow: layers, losses and models.
test-bare: $(READY)
	$(BIN)/python tests/wheel/run.py --bare

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python tests/check_types.py

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
