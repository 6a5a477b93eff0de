# Everything that people start. `make` alone lists it.

EXP      ?= dcgan_fashion
ARGS     ?=
LSUN     ?=
VENV     ?= target/peer
READERS  ?= target/readers
DUEL     := target/release/duel

.PHONY: help experiment test bench bench-import check clean build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  EXP=name      which experiment, e.g. EXP=gan_gaussian; those there are:"
	@ls experiments/*.yaml | sed 's|experiments/|                  |; s|\.yaml$$||'
	@echo "  LSUN=path     your copy of bedroom_train_lmdb, for EXP=dcgan_lsun; it is imported once"
	@echo "  ARGS='...'    more for duel train, e.g. ARGS='--set seed=1 --out runs/mine'"

build: ## the binary, target/release/duel
	cargo build --release --locked --package runner

experiment: build ## one experiment from nothing: build, fetch, shards, train, pictures
	@test -f experiments/$(EXP).yaml || { \
	  echo "error: no experiment experiments/$(EXP).yaml; there are:" >&2; \
	  ls experiments/*.yaml | sed 's|experiments/|  |; s|\.yaml$$||' >&2; exit 2; }
	$(if $(LSUN),$(DUEL) data import lsun '$(LSUN)' --category bedroom --size 64)
	$(DUEL) data prepare experiments/$(EXP).yaml
	$(DUEL) train experiments/$(EXP).yaml $(ARGS)

test: ## all tests
	@bash tests/readers/setup.sh $(READERS) || echo "tests that read with Python's libraries are left out" >&2
	cargo test --locked --workspace

bench: build ## images per second against PyTorch, in one run; writes target/bench.json
	@bash tests/peer/setup.sh $(VENV) || echo "no PyTorch to compare with: the bench runs alone" >&2
	cargo bench --locked --package tests --bench step -- --peer $(VENV) $(ARGS)

bench-import: build ## pictures per second against Pillow, in one run; keeps its pictures in target/import
	@bash tests/readers/setup.sh $(READERS)
	$(READERS)/bin/python tests/peer/import.py $(DUEL) target/import $(ARGS)

check: ## formatting and lints
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

clean: ## what was built; runs and data sets stay
	cargo clean
