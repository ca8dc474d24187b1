PYTHON ?= python3.11
BIN := .venv/bin
SQUEEZENET = $$($(BIN)/python -c "import onnx, pathlib; \
	print(pathlib.Path(onnx.__file__).parent / 'backend/test/data/light/light_squeezenet.onnx')")

.PHONY: help venv demo docs devices test lint format bench campaign

help:
	@echo "make demo      tune a real model on this machine, compile it by the plan, run it (10 minutes)"
	@echo "make test      the tests (30 minutes)          make lint      ruff and mypy"
	@echo "make bench     every figure of the README      make campaign  the long randomised tests"
	@echo "make devices   what the tests of OpenCL and ARM64 need: PoCL, TVM's runtime for it, an emulated ARM64 machine"
	@echo "make docs      the documents as a site, in site/"

venv: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[tvm,onnx,torch,placement,dev]'
	touch $@

demo: venv
	mkdir -p demo
	$(BIN)/tvm-go tune-graph $(SQUEEZENET) --log demo/log.jsonl -o demo/squeezenet.plan.json
	$(BIN)/tvm-go compile $(SQUEEZENET) --graph-plan demo/squeezenet.plan.json -o demo/squeezenet.tar
	$(BIN)/tvm-go run demo/squeezenet.tar --device cpu --fill-mode random --print-time --repeat 10

devices: venv
	tools/opencl
	tools/build_opencl_runtime
	tools/arm64_server

docs: venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test: venv
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 10

campaign: venv
	$(BIN)/python -m pytest -m campaign

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.measure_throughput
	$(BIN)/python -m benchmarks.fusion
	$(BIN)/python -m benchmarks.end_to_end
	$(BIN)/python -m benchmarks.cost_model
	$(BIN)/python -m benchmarks.fewer_measurements
	$(BIN)/python -m benchmarks.whole_from_kernels --budget 0
	$(BIN)/python -m benchmarks.dnn_partitioning
	$(BIN)/python -m benchmarks.dnn_partitioning --objective throughput --strategy go
	$(BIN)/python -m benchmarks.placement
	$(BIN)/python -m benchmarks.simulate
	$(BIN)/python -m benchmarks.schedule
	$(BIN)/python -m benchmarks.viewer
	$(BIN)/python -m benchmarks.devices
	$(BIN)/python -m benchmarks.zero_shot
	$(BIN)/python -m benchmarks.zero_shot_kernels
	$(BIN)/python -m benchmarks.joint_tasks
	$(BIN)/python -m benchmarks.policy_scale
