# `make demo` and `make test` need python3 >= 3.10 and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 2

# What `make demo` and `make benchmark` work on.
TOOL := $(BIN)/python tools
PLAIN := configs/retina3d/retina3d_fpn_phantom.py
FOCALMIX := configs/focalmix/retina3d_fpn_phantom.py
LABELED := train_dataloader.dataset.split=splits/labeled_10.txt
DATA := data/phantom
RAW := $(DATA)/raw
SCANS ?= 160
DEMO := work_dirs/demo
START_STEPS ?= 1000
MORE_STEPS ?= 500
UNLABELED ?= 100
UNLABELED_LIST = train_dataloader.dataset.datasets.unlabeled.split=splits/unlabeled_$(UNLABELED).txt
# The checkpoint that a run left last.
last = $$(cat $(DEMO)/$(1)/last_checkpoint)
# $(call train,name,config,steps[,more options])
train = $(TOOL)/train.py $(2) --work-dir $(DEMO)/$(1) --cfg-options \
	train_cfg.max_iters=$(3) train_cfg.val_interval=1000000 $(4)
# $(call detect,name,config)
detect = $(TOOL)/test.py $(2) $(call last,$(1)) --work-dir $(DEMO)/$(1) \
	--out $(DEMO)/$(1)/marks.csv

.PHONY: help demo scan benchmark compare test test-gpu gpu-report lint docs clean

help:
	@echo 'make demo   find nodules with a shipped detector, train a little (5 minutes on 2 cores)'
	@echo 'make benchmark   train with and without unlabeled scans (about 18 minutes on 2 cores)'
	@echo 'make test   check style and run the tests'
	@echo 'make test-gpu   run the tests that need a GPU'
	@echo 'make gpu-report   measure time, memory and exact resume on a GPU (10 minutes)'
	@echo 'make lint   check style'
	@echo 'make docs   build the documentation into docs/_build'
	@echo 'make clean  remove everything these commands made, data and results included'

# opencv-python, which mmcv asks for, needs system libraries (libGL) that a bare machine lacks;
# there the headless build of the same release takes its place.
$(INSTALLED): setup.py $(wildcard requirements/*.txt)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c requirements/constraints.txt -e '.[tests,optional]'
	$(BIN)/python -c 'import cv2' 2>/dev/null || $(BIN)/python -m pip install \
		-c requirements/constraints.txt --force-reinstall --no-deps opencv-python-headless
	touch $@

# A short training of the kind that `make benchmark` makes long, then a shipped detector on a phantom,
# or that of lung nodules on a CT of your own: make demo SCAN=chest.nii.gz
MODEL ?= $(if $(SCAN),luna16-nodules,phantom)
REAL = '$(MODEL) on your scan, $(SCAN)'
SYNTHETIC = '$(MODEL) on a synthetic scan; on a CT of your own: make demo SCAN=chest.nii.gz'
demo: SCANS := 60
demo: UNLABELED := 30
demo: START_STEPS := 300
demo: MORE_STEPS := 150
demo: scan compare
	rm -rf $(DEMO)/findings
	$(BIN)/mmdet3d-medical predict $(MODEL) \
		$(if $(SCAN),'$(SCAN)',$$(ls $(RAW)/subset9/*.mhd | head -1)) -o $(DEMO)/findings
	@echo 'found by:               '$(if $(SCAN),$(REAL),$(SYNTHETIC))
	@$(BIN)/python -m mmdet3d_medical.inference.report.opening $(DEMO)/findings/*/report.html

# That it exists, before minutes of work.
scan:
	@test -z '$(SCAN)' || test -e '$(SCAN)' || { echo 'SCAN=$(SCAN): no such file or folder'; exit 1; }

# Longer, with more scans, so that the two can be compared.
benchmark: DEMO := work_dirs/benchmark_small
benchmark: compare

# The same commands as for LUNA16, see README.md; the phantom writes its layout. One supervised
# detector of 10 scans goes on twice, as it was and by FocalMix with unlabeled scans.
compare: $(INSTALLED)
	$(TOOL)/dataset_converters/make_phantom.py $(RAW) --scans $(SCANS) --workers $(WORKERS)
	$(TOOL)/dataset_converters/luna16.py $(RAW) --out $(DATA) --spacing 2 2 2 --crop lungs \
		--workers $(WORKERS)
	$(TOOL)/dataset_converters/make_splits.py $(DATA)/index.json --test-subsets 7 8 9 \
		--labeled 10 --unlabeled $(UNLABELED)
	$(call train,start,$(PLAIN),$(START_STEPS),$(LABELED))
	$(call train,supervised,$(PLAIN),$(MORE_STEPS),$(LABELED) load_from=$(call last,start))
	$(call train,focalmix,$(FOCALMIX),$(MORE_STEPS),$(UNLABELED_LIST) load_from=$(call last,start))
	$(call detect,supervised,$(PLAIN))
	$(call detect,focalmix,$(FOCALMIX))
	$(TOOL)/analysis_tools/eval_froc.py $(DEMO)/supervised/marks.csv $(DEMO)/focalmix/marks.csv \
		--names supervised FocalMix --annotations $(RAW)/annotations.csv \
		--excluded $(RAW)/annotations_excluded.csv --seriesuids $(DATA)/splits/test.txt \
		--json $(DEMO)/froc.json --plot $(DEMO)/froc.png
	$(TOOL)/analysis_tools/draw_detections.py $(DEMO)/focalmix/marks.csv $(DATA)/index.json \
		$(DEMO)/detections.png
	@echo 'FROC curves:            $(DEMO)/froc.png'
	@echo 'scores:                 $(DEMO)/froc.json'
	@echo 'submissions:            $(DEMO)/supervised/marks.csv $(DEMO)/focalmix/marks.csv'
	@echo 'detections over truth:  $(DEMO)/detections.png'

# One thread a process: two processes with two threads each are slower than either alone. On the CPU
# where there is a GPU too: GPUs round otherwise, and not always alike.
test: lint
	OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= $(BIN)/python -m pytest -n $(WORKERS) --durations=15

# That a GPU gives what a CPU gives, and every kind of config trained on it for two steps.
test-gpu: $(INSTALLED)
	$(BIN)/python -m pytest tests/test_models/test_cuda.py tests/test_tools/test_configs.py

# Tables in work_dirs/gpu_report/report.md.
gpu-report: $(INSTALLED)
	$(BIN)/python projects/benchmark/gpu_report.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(INSTALLED)
	$(BIN)/python -m pip install -c requirements/constraints.txt -r requirements/docs.txt
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) build data work_dirs docs/_build mmdet3d_medical/.mim *.egg-info \
		.pytest_cache .ruff_cache .hypothesis
