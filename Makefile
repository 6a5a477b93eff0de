# Everything that people start. `make` alone lists it.

EXP      ?= dcgan_fashion
ARGS     ?=
LSUN     ?=
SMOKE    ?=
RANKS    ?=
VENV     ?= target/peer
READERS  ?= target/readers
MPI      ?= target/mpi
DUEL     := target/release/duel
# Config b of the bench.
SCALING  := $(DUEL) scaling experiments/dcgan_fashion.yaml --set schedule=shared_fakes --steps 20
# Each run's machine.json says from which commit the binary was built; empty outside a checkout.
export DUEL_COMMIT := $(if $(wildcard .git),$(shell git describe --always --dirty --abbrev=12 --exclude "*" 2>/dev/null))

.PHONY: help experiment runs devices doctor schema test test-hosts kernels kernels-check bench scaling bench-import gpu-bundle gpu-check check clean build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  EXP=name      which experiment, e.g. EXP=gan_gaussian; those there are:"
	@ls experiments/*.yaml experiments/ablations/*.yaml | sed 's|experiments/|                  |; s|\.yaml$$||'
	@echo "  LSUN=path     your copy of bedroom_train_lmdb, for EXP=dcgan_lsun; it is imported once"
	@echo "  RANKS=N       so many ranks share a batch: N GPUs of this machine, or threads on cores"
	@echo "  SMOKE=1       of ablations/*: the size that ends in minutes"
	@echo "  ARGS='...'    more for duel train or duel ablate, e.g. ARGS='--set seed=1 --out runs/mine'"

build: ## the binary, target/release/duel
	cargo build --release --locked --package runner

experiment: build ## one experiment or ablation from nothing: build, fetch, shards, train, pictures
	@test -f experiments/$(EXP).yaml || { \
	  echo "error: no experiment experiments/$(EXP).yaml; there are:" >&2; \
	  ls experiments/*.yaml experiments/ablations/*.yaml | sed 's|experiments/|  |; s|\.yaml$$||' >&2; exit 2; }
	$(if $(LSUN),$(DUEL) data import lsun '$(LSUN)' --category bedroom --size 64)
	$(DUEL) data prepare experiments/$(EXP).yaml
	$(DUEL) $(if $(filter ablations/%,$(EXP)),ablate,train) $(if $(SMOKE),--smoke) experiments/$(EXP).yaml \
	  $(if $(RANKS),--set ranks=$(RANKS)) $(ARGS)

runs: build ## the runs that are here: state, progress, last figures
	@$(DUEL) runs

devices: build ## the GPUs that are here, and whether they can be used
	@$(DUEL) devices

doctor: build ## what this machine offers, and what it lacks
	@$(DUEL) doctor

schema: build ## target/experiment.schema.json and target/ablation.schema.json, for editors
	@for of in experiment ablation; do \
	  $(DUEL) schema $$of > target/$$of.schema.json && echo target/$$of.schema.json; done

test: ## all tests
	@bash tests/readers/setup.sh $(READERS) || echo "tests that read with Python's libraries are left out" >&2
	@bash tests/mpi/setup.sh $(MPI) || echo "tests that start ranks with MPI are left out" >&2
	cargo test --locked --workspace

test-hosts: ## ranks on three hosts of their own, and what is lost there; Linux, root, iproute2
	bash tests/mpi/setup.sh $(MPI)
	DUEL_HOSTS=required cargo test --locked --package tests --test hosts hosts::

kernels: ## kernels/ptx, for the sources that changed; fetches NVIDIA's compiler once
	kernels/build.sh

kernels-check: ## whether kernels/ptx is what the sources give, for each GPU generation; no spills
	kernels/build.sh --check

bench: build ## steps against PyTorch's, layer by layer, in one run; writes target/bench.json
	@bash tests/peer/setup.sh $(VENV) || echo "no PyTorch to compare with: the bench runs alone" >&2
	cargo bench --locked --package tests --bench step -- --peer $(VENV) $(ARGS)

scaling: build ## steps over ranks: threads, MPI, and as root a link of 1 Gbit/s; a model of up to 1024 GPUs
	@bash tests/mpi/setup.sh $(MPI)
	$(SCALING) $(ARGS)
	$(MPI)/mpich/bin/mpiexec -n 2 $(SCALING) --threads 1 --out target/scaling-mpi.png $(ARGS)
	@if [ "$$(id -u)" = 0 ]; then \
	  bash tests/scaling/shaped.sh $(MPI)/mpich 1gbit $(SCALING) --threads 1 --out target/scaling-1gbit.png $(ARGS); \
	else echo "a link of 1 Gbit/s needs root: left out" >&2; fi
	$(DUEL) scaling experiments/dcgan_lsun.yaml --set model.dcgan.width=64 --set model.dcgan.kernel=4 --set model.dcgan.noise=normal \
	  --set schedule=shared_fakes --ranks 1 --steps 3 --step-ms 2.236 --out target/scaling-gpus.png $(ARGS)

bench-import: build ## pictures per second against Pillow, in one run; keeps its pictures in target/import
	@bash tests/readers/setup.sh $(READERS)
	$(READERS)/bin/python tests/peer/import.py $(DUEL) target/import $(ARGS)

gpu-bundle: ## target/gpu-bundle: a folder to copy to a machine with an NVIDIA GPU; its ./gpu-check needs a driver alone
	bash tests/gpu_check/bundle.sh target/gpu-bundle

gpu-check: gpu-bundle ## the same here: parity, training, memory, speed against PyTorch; ARGS='--help' tells more
	target/gpu-bundle/gpu-check --out target/gpu-check $(ARGS)

check: ## formatting and lints
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

clean: ## what was built; runs and data sets stay
	cargo clean
