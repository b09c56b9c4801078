# Two commands are all a newcomer needs: `make dev` runs the product, `make test` runs what CI runs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup build dev test bench fmt lint clean-data

# One optimised profile everywhere, so that RocksDB and Wasmtime are compiled once.
CARGO_FLAGS := --release --locked

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what is missing on this machine (asks for sudo only if needed)
	@scripts/setup

build: setup ## Build the binaries
	@echo "building cryptlet (the first build compiles RocksDB and Wasmtime: about 25 minutes on two cores)"
	@scripts/build

dev: build ## Start a dev node with an embedded cryptlet host and the example contracts; ARGS="--port 9545" adds flags
	@exec "$$(scripts/target-dir)/release/cryptlet" node --dev $(ARGS)

test: setup ## Run everything CI runs, and end with a summary line
	@scripts/test $(STAGES)

bench: build ## Run the benchmarks and write docs/benchmarks.md
	@scripts/bench

fmt: ## Format the tree
	@cargo fmt --all

lint: ## Format check and clippy
	@cargo fmt --all --check && cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
