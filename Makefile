# Everything that people start. `make` alone lists it.

EXP      ?= dcgan_fashion
ARGS     ?=
SMOKE    ?=
VENV     ?= target/peer
DUEL     := target/release/duel

.PHONY: help experiment test bench check clean build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  EXP=name      which experiment, e.g. EXP=gan_gaussian; those there are:"
	@ls experiments/*.yaml experiments/ablations/*.yaml | sed 's|experiments/|                  |; s|\.yaml$$||'
	@echo "  SMOKE=1       of ablations/*: the size that ends in minutes"
	@echo "  ARGS='...'    more for duel train or duel ablate, e.g. ARGS='--set seed=1 --out runs/mine'"

build: ## the binary, target/release/duel
	cargo build --release --locked --package runner

experiment: build ## one experiment or ablation from nothing: build, fetch, shards, train, pictures
	@test -f experiments/$(EXP).yaml || { \
	  echo "error: no experiment experiments/$(EXP).yaml; there are:" >&2; \
	  ls experiments/*.yaml experiments/ablations/*.yaml | sed 's|experiments/|  |; s|\.yaml$$||' >&2; exit 2; }
	$(DUEL) data prepare experiments/$(EXP).yaml
	$(DUEL) $(if $(filter ablations/%,$(EXP)),ablate,train) $(if $(SMOKE),--smoke) experiments/$(EXP).yaml $(ARGS)

test: ## all tests
	cargo test --locked --workspace

bench: build ## images per second against PyTorch, in one run; writes target/bench.json
	@bash tests/peer/setup.sh $(VENV) || echo "no PyTorch to compare with: the bench runs alone" >&2
	cargo bench --locked --package tests --bench step -- --peer $(VENV) $(ARGS)

check: ## formatting and lints
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

clean: ## what was built; runs and data sets stay
	cargo clean
