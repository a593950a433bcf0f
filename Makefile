# What CI runs, by name. `make check` before every commit.
.PHONY: check fmt lint test doc parity

check: fmt lint test doc

fmt:
	cargo fmt --check

lint:
	cargo clippy --all-targets --locked -- -D warnings
	cargo clippy --lib --no-default-features --locked -- -D warnings

test:
	cargo test --locked

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked --document-private-items

# Needs YOLO9_REFERENCE: the folder with the reference collection.
parity:
	cargo test --locked --test parity -- --nocapture
