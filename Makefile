# Everything a visitor types. Python 3.11 or newer is the only thing that must be there;
# `make PYTHON=python3.12 lab` picks another one. Windows without make: see README.md.
PYTHON ?= $(if $(filter Windows_NT,$(OS)),python,python3)
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PINS ?= constraints.txt
# With other pins it has another name, so that `make test PINS=oldest.txt` installs those.
READY := .venv/ready$(filter-out .constraints.txt,.$(notdir $(PINS)))
# Jupyter refuses to start for root, as in a container, unless it is told to.
ROOT = $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: help lab lint quick test doctor ladder bench train sample speed gpu figures norms busy \
	counting modern record polyak texts exercises notebooks workshop clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-11s%s\n", $$1, $$2 }' Makefile

lab: $(READY) ## open the notebooks in JupyterLab
	@$(BIN)/python -c "from lessons.corpus import load_text; from lessons.errors import exits_cleanly; exits_cleanly(load_text)()"
	@$(BIN)/python -m jupyterlab notebooks --ServerApp.answer_yes=True $(ROOT) $(ARGS)

lint: $(READY) ## ruff, stale pages, rules of prose: all findings at once, in seconds
	@$(BIN)/python -m pytest --quiet --no-header --tb=short -m "lint and not slow" tests/house tests/course

quick: $(READY) ## the tests that are fast: no notebooks, no kits, no processes killed
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal -m "not slow"

test: $(READY) ## run every test and every notebook, and see that none was left out
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal --junitxml=.venv/report.xml
	@$(BIN)/python tests/ran.py .venv/report.xml

doctor: ## what this machine has, and what to type where something is missing
	@$(if $(wildcard .venv/ready*),$(BIN)/python,$(PYTHON)) -m lessons.doctor

ladder: $(READY) ## train the rungs that are not on record (ARGS="--help" for the options)
	@$(BIN)/python helper_scripts/measure/ladder.py $(ARGS)

bench: $(READY) ## the lecture's loop against ours, in steps per second
	@$(BIN)/python helper_scripts/bench/rungs.py $(ARGS)

train: $(READY) ## train a GPT on your own text (ARGS="--preset small --text my.txt")
	@$(BIN)/python helper_scripts/train.py $(ARGS)

sample: $(READY) ## print what it writes (ARGS="--run runs/small")
	@$(BIN)/python helper_scripts/sample.py $(ARGS)

speed: $(READY) ## lesson 1's loop against the scaled one, in tokens per second
	@$(BIN)/python helper_scripts/bench/presets.py $(ARGS)

gpu: $(READY) ## measure the last rung on a CUDA machine, within nine minutes
	@$(BIN)/python helper_scripts/measure/gpu.py $(ARGS)

norms: $(READY) ## measure lesson 7's grid, what is missing of it
	@$(BIN)/python helper_scripts/measure/norms.py $(ARGS)

counting: $(READY) ## measure lesson 9's experiments, what is missing of them
	@$(BIN)/python helper_scripts/measure/counting.py $(ARGS)
	@$(BIN)/python helper_scripts/measure/counting_apart.py $(ARGS)

modern: $(READY) ## measure what each part of lesson 10 is worth, what is missing of it
	@$(BIN)/python helper_scripts/measure/modern.py $(ARGS)

record: $(READY) ## the lowest loss of two cores in a given time (ARGS="--seconds 20")
	@$(BIN)/python helper_scripts/measure/record.py $(ARGS)

busy: $(READY) ## measure training beside busy programs, in five minutes
	@$(BIN)/python helper_scripts/measure/busy.py $(ARGS)

polyak: $(READY) ## measure what the mean of the last weights is worth
	@$(BIN)/python helper_scripts/measure/polyak.py $(ARGS)

texts: $(READY) ## measure what presets reach on short, long and other texts
	@$(BIN)/python helper_scripts/measure/own_text.py $(ARGS)

exercises: $(READY) ## measure the exercises' experiments with several seeds, for their checks
	@$(BIN)/python helper_scripts/measure/exercises.py $(ARGS)

figures: $(READY) ## draw images/ and the tables of README and TEACHING from data/
	$(BIN)/python helper_scripts/pages/figures.py $(ARGS)
	$(BIN)/python helper_scripts/pages/readme.py --write
	$(BIN)/python helper_scripts/pages/teaching.py --write

notebooks: $(READY) ## bring the notebooks up to date with lessons/ and run them again
	$(BIN)/python helper_scripts/notebooks/colab_links.py --write
	$(BIN)/python helper_scripts/pages/readme.py --write
	$(BIN)/python helper_scripts/notebooks/sync.py --write
	$(BIN)/python helper_scripts/notebooks/run.py

workshop: $(READY) ## a folder and zips to hand out (ARGS="--wheels")
	@$(BIN)/python helper_scripts/workshop/make.py $(ARGS)

clean: ## remove the virtual environment
	$(PYTHON) -c "import shutil; shutil.rmtree('.venv', ignore_errors=True)"

# The stamp is written last, and all others are gone first: a set-up that was cut off starts again.
$(READY): pyproject.toml $(PINS)
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('Python 3.11 or newer is needed, and this is ' + sys.version.split()[0] + ': install one, or name it, as in make PYTHON=python3.13 lab')"
	@$(PYTHON) -c "from pathlib import Path; [stamp.unlink() for stamp in Path('.venv').glob('ready*')]"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(PINS) --editable ".[lab,test]"
	@$(BIN)/python -c "open('$(READY)', 'w').close()"
