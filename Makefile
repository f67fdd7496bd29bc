# make test: sets up what the tests need, and runs them all.
# make lint: format, clippy with warnings as errors, licences and sources of dependencies.

NODE_MODULES := tests/asl-validator/node_modules report/browser/node_modules
# Reports are looked at in Chromium, with a font that is the same everywhere.
CHROMIUM := $(firstword $(shell command -v chromium chromium-browser google-chrome))
FONT := $(wildcard /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# Defects that campaigns must find, for the tests of that.
PLANTED := drctl/planted-defects

.PHONY: test lint browser
test: $(NODE_MODULES) browser
	cargo test --workspace --locked --features $(PLANTED)

browser:
ifeq ($(and $(CHROMIUM),$(FONT)),)
	$(SUDO) apt-get update
	$(SUDO) apt-get install -y --no-install-recommends chromium fonts-dejavu-core
endif

lint:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --workspace --all-targets --locked --features $(PLANTED) -- -D warnings
	cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny --version 0.20.2
	cargo deny --locked check bans licenses sources

$(NODE_MODULES): %/node_modules: %/package-lock.json
	npm ci --prefix $* --no-audit --no-fund --ignore-scripts
	touch $@
