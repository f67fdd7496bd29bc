# make test: sets up what the tests need, and runs them all.
# make lint: format, clippy with warnings as errors, licences and sources of dependencies.

NODE_MODULES := tests/asl-validator/node_modules

.PHONY: test lint
test: $(NODE_MODULES)
	cargo test --workspace --locked

lint:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny --version 0.20.2
	cargo deny --locked check bans licenses sources

$(NODE_MODULES): tests/asl-validator/package-lock.json
	npm ci --prefix tests/asl-validator --no-audit --no-fund
	touch $@
