# `make help` lists the targets. Each sets up what it needs.
.DEFAULT_GOAL := help
.PHONY: help demo test node python example interop bench bench-gateway lint fuzz deny doc build plugin plugin-check package dist dist-check dist-push toolchain clean

CARGO ?= cargo
# The rogue plugin is built by the tests' build script, for wasm alone.
# The example and the benchmark bring hundreds of crates of their own: see `make example` and `make bench`.
ALL := --workspace --exclude sandbucket-rogue --exclude sandbucket-parquet-example --exclude sandbucket-bench
# What `make demo` builds with the features of `make test`. AWS's credential chain would be a sixth of it.
CRATES := $(ALL) --exclude sandbucket-aws-tests

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

# Of all that `make test` builds, the command and a small test: with the test, features are those that `make test` needs, so that it
# compiles no crate again.
demo: ## Build, start an S3 server on loopback, and store and read real files through the sandbox
	$(CARGO) build $(CRATES) --bin sandbucket --test cases
	@"$${CARGO_TARGET_DIR:-target}/debug/sandbucket" demo

test: toolchain ## Run every test: units, end to end, faults, rogue plugins, boto3 and moto, the npm and the PyPI package
	$(CARGO) test $(CRATES)
	$(CARGO) test $(ALL) --test aws_chain
	@$(MAKE) --no-print-directory node
	@$(MAKE) --no-print-directory python

node: toolchain ## Install, transpile, test and pack the npm package, where Node 20 and npm are
	@CARGO="$(CARGO)" CRATES="$(CRATES)" ./host/node/scripts/check.sh

python: toolchain ## Install, check, test and build the Python package, where Python 3.11 is
	@CARGO="$(CARGO)" CRATES="$(CRATES)" ./host/python/check.sh

example: toolchain ## Write a Parquet file to an S3 server on loopback, and read it back column by column
	$(CARGO) run --package sandbucket-parquet-example

interop: toolchain ## Run the end-to-end suite on moto, Garage and Ceph, or on SANDBUCKET_SERVICE=URL; and write docs/capabilities.md
ifneq (,$(findstring ://,$(SANDBUCKET_SERVICE)))
	SANDBUCKET_SERVICE=$(SANDBUCKET_SERVICE) $(CARGO) test --package sandbucket-tests --test e2e --test object_store
else
	@./tests/interop/garage.sh
	@./tests/interop/ceph.sh start
	@for service in moto garage ceph; do \
		echo "the end-to-end suite, and that of object_store, on $$service"; \
		SANDBUCKET_SERVICE=$$service $(CARGO) test --package sandbucket-tests --test e2e --test object_store || exit 1; \
	done
	$(CARGO) test --package sandbucket-tests --test capabilities -- --include-ignored --nocapture
	@./tests/interop/ceph.sh stop
endif

bench: toolchain ## Measure Sandbucket beside other S3 clients, and write the results to docs/benchmarks.*
	$(CARGO) run --release --package sandbucket-bench -- \
		--markdown docs/benchmarks.md --svg docs/benchmarks.svg --json docs/benchmarks.json

bench-gateway: toolchain ## Measure the gateway beside other S3 front ends and rclone (or RCLONE=FILE), and write docs/gateway-benchmarks.md
	$(CARGO) run --release --package sandbucket-bench -- gateway --markdown docs/gateway-benchmarks.md \
		--rclone "$(or $(RCLONE),$$(./tests/bench/rclone.sh))"

lint: toolchain ## Check formatting and lints, of host and guest, natively and for wasm
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(ALL) --all-targets -- -D warnings
	@if ls "$$(rustc --print sysroot)"/lib/rustlib/wasm32-unknown-unknown/lib/libstd-*.rlib >/dev/null 2>&1; then \
		set -x; $(CARGO) clippy --package sandbucket-plugin --package sandbucket-s3 --package sandbucket-azure --package sandbucket-webdav --package sandbucket-rogue --package sandbucket-blobstore-guest --package sandbucket-http-service-example --target wasm32-unknown-unknown -- -D warnings && \
		$(CARGO) clippy --package sandbucket-rogue --features simple --target wasm32-unknown-unknown -- -D warnings; \
	else \
		echo "lint: clippy for wasm left out: rustup's wasm32-unknown-unknown is not here"; \
	fi

fuzz: ## Fuzz every target for five minutes, or for FUZZ_SECONDS: about an hour in all; needs a nightly compiler
	@./tests/fuzz/run.sh

# Advisories are in a database that is fetched: DENY_ADVISORIES=1 checks them as well.
deny: ## Check the licences, versions and sources of all dependencies against deny.toml
	@PATH="$(CURDIR)/target/tools/bin:$$PATH"; \
	command -v cargo-deny >/dev/null || $(CARGO) install --locked --root target/tools cargo-deny || exit 1; \
	cargo-deny --workspace check licenses bans sources $(if $(DENY_ADVISORIES),advisories)

doc: toolchain ## Build the API documentation, with warnings as errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(ALL) --no-deps

build: ## Build the `sandbucket` command, with the plugins in it, and check that it has less than 40 MB
	$(CARGO) build --release --package sandbucket-cli
	@size=$$(wc -c < "$${CARGO_TARGET_DIR:-target}/release/sandbucket"); \
	[ "$$size" -lt 40000000 ] || { echo "make build: the command has $$size bytes, and 40,000,000 is the limit" >&2; exit 1; }

plugin: toolchain ## Build the plugins from source, and replace the prebuilt ones that the library contains
	$(CARGO) run --quiet --package sandbucket-xtask -- plugin

plugin-check: toolchain ## Check that the prebuilt plugins are what their sources make, byte for byte
	$(CARGO) run --quiet --package sandbucket-xtask -- plugin --check

package: ## Package the published crates, and build a server outside the workspace from the packages
	@./tests/packaging/run.sh

# DIST_SKIP="npm python crates" leaves packages out, DIST_SOURCE=URL is where the sources are: see docs/releasing.md.
dist: ## Make the files of a release in target/dist: plugins, SBOMs, contract, OCI layout, packages, checksums
	$(CARGO) run --quiet --package sandbucket-xtask -- dist

dist-check: ## Make them twice, once in a clone, and compare every file
	$(CARGO) run --quiet --package sandbucket-xtask -- dist --check

dist-push: ## Push the plugins and the contract of target/dist to REGISTRY=HOST[:PORT][/PREFIX]
	$(CARGO) run --quiet --package sandbucket-xtask -- push $(if $(PLAIN_HTTP),--plain-http) "$(REGISTRY)"

toolchain: ## Find or install what builds the plugins for WebAssembly
	@./toolchain.sh

clean: ## Remove everything that was built
	$(CARGO) clean
