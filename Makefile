# What CI runs, by name. `make check` before every commit.
.PHONY: check fmt lint test doc parity built package pages python readme fuzz

# What the default build leaves out for its length: tested once, with everything.
FEATURES = --features train,cloud

check: fmt lint built test doc

fmt:
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check

lint:
	cargo clippy --workspace --all-targets $(FEATURES) --locked -- -D warnings
	cargo clippy --lib --no-default-features --locked -- -D warnings

test:
	cargo test $(FEATURES) --locked

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps $(FEATURES) --locked --document-private-items

# What nobody runs every day must build all the same: benchmarks do in `lint`. Fuzz targets need a C++ compiler.
built:
	cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir target

# The published package, as others build it: the library alone with its tests, and that nothing is missing of the rest. Cargo
# would build all of it to verify it, so it is told not to, and tar unpacks it.
PACKAGE = yolo9-$(shell cargo pkgid | sed 's/.*[\#@]//')
IN_PACKAGE = --locked --manifest-path target/package/$(PACKAGE)/Cargo.toml --target-dir target

package:
	cargo package --package yolo9 --locked --allow-dirty --no-verify
	tar -xzf target/package/$(PACKAGE).crate -C target/package
	cargo test $(IN_PACKAGE) --lib --no-default-features
	cargo check $(IN_PACKAGE) --bins --examples

# The pages that yolo9 writes, in a browser: scripts, accessibility, small and dark screens, hostile names. Needs node, npm and
# Chromium (CHROMIUM names it if it is not /usr/bin/chromium). PAGES are further ones to look at.
pages:
	cargo build --release --locked
	npm install --silent --no-audit --no-fund --no-save --prefix target/pages playwright-core@1 axe-core@4
	NODE_MODULES=target/pages/node_modules node tests/pages/check.mjs target/release/yolo9 target/pages/written $(PAGES)

# Needs YOLO9_REFERENCE: the folder with the reference collection.
parity:
	cargo test $(FEATURES) --locked --test library --test program --test openvino -- --ignored --nocapture

# The Python package as `pip install ./python` builds it, with its tests: needs python3, java for Spark, and a package index.
# pip would pack and unpack Spark's half gigabyte once more; its archive is a package but for some links. The wheel's program is
# the release build without object stores, which are tested with the debug build of `test`.
ENVIRONMENT = target/python
PYTHON = $(ENVIRONMENT)/bin/python

python:
	python3 -m venv $(ENVIRONMENT)
	YOLO9_CARGO_FEATURES= $(PYTHON) -m pip install -q './python[test,ray]' 'pandas<3' py4j
	$(PYTHON) python/tests/link_spark.py $(ENVIRONMENT)/spark
	cargo test $(FEATURES) --locked --no-run --test program
	YOLO9_WITH_CLOUD=$(abspath target/debug/yolo9) $(PYTHON) -m pytest -q -p no:cacheprovider -n 2 --dist loadfile python/tests

# The comparison that README.md shows, with its image.
readme:
	cargo build --release --locked
	python3 tests/reference/update_readme.py target/release/yolo9

# Every reader of untrusted input for half a minute (or SECONDS), within the bounds that are promised; docs/fuzzing.md.
# Needs cargo-fuzz.
SECONDS ?= 30
TARGETS ?= pickle model zip safetensors onnx yaml image journal labels

fuzz:
	for target in $(TARGETS); do \
		ASAN_OPTIONS=quarantine_size_mb=10 RUSTC_BOOTSTRAP=1 cargo fuzz run $$target -- -max_total_time=$(SECONDS) -max_len=1000000 -rss_limit_mb=512 \
			-timeout=5 -print_final_stats=1 || exit 1; \
	done
