# make demo    sets everything up in .venv, then runs the main job (make demo ARGS="...")
# make test    sets everything up, system packages included, then passes every test (make test ARGS="-k gaps")
# make lint    ruff, mypy twice, the wire's schema, generated documents (make -k lint does not stop at the first)
# make format  writes what make lint would ask for, where a program can
# make bench   benchmarks/: side by side with the peers, into benchmarks/RESULTS.md (make bench ARGS=--quick)
# make soak    the long campaigns
# make pio     PlatformIO, for who has none (make pio ARGS="run -t upload"), see docs/platformio.md
# make hardware  the wiring drawings into hardware/, the enclosure's STEP and STL into out/hardware/
# make clean   removes what the others made, but not out/
#
# DRONEWALL_PYTHON=/path/to/python chooses the interpreter. Runs with GNU make 3.81 (macOS) and 4.

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -qq
ARGS ?=

.PHONY: demo test lint bench soak hardware pio clean help format system-packages
.PHONY: lint-ruff lint-format lint-host lint-firmware lint-wire lint-help
.DEFAULT_GOAL := help

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: .venv/.installed
	@.venv/bin/dronewall demo $(ARGS)

test: system-packages .venv/.test .venv/wasm/.installed .venv/pio/.installed
	@$(PY) -m pytest $(ARGS)

lint: lint-ruff lint-format lint-host lint-firmware lint-wire lint-help

lint-ruff: .venv/.lint
	@echo "ruff check"
	@$(PY) -m ruff check --quiet --output-format concise .

lint-format: .venv/.lint
	@echo "ruff format"
	@$(PY) -m ruff format --check --quiet --output-format concise . || { echo "make format writes it" >&2; exit 1; }

lint-host: .venv/.lint
	@echo "mypy, the host"
	@$(PY) -m mypy --no-error-summary

lint-firmware: .venv/.lint typings/.installed
	@echo "mypy, the firmware"
	@$(PY) -m mypy --no-error-summary --config-file tools/mypy-firmware.ini --cache-dir .mypy_cache/firmware \
	    --custom-typeshed-dir typings firmware

lint-wire: .venv/.lint
	@echo "the wire against docs/asyncapi.yaml and the AsyncAPI schema"
	@$(PY) tools/check_asyncapi.py

lint-help: .venv/.lint
	@echo "the help shown in documents"
	@$(PY) tools/help_blocks.py --check

format: .venv/.lint
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix --quiet .
	@$(PY) tools/help_blocks.py

bench: .venv/.installed .venv/peers/.installed
	@$(PY) benchmarks/viewshed.py $(ARGS)
	@$(PY) benchmarks/field.py $(ARGS)
	@$(PY) benchmarks/gaps.py $(ARGS)
	@$(PY) benchmarks/patrol.py $(ARGS)
	@$(PY) benchmarks/node.py $(ARGS)

soak: system-packages .venv/.test .venv/wasm/.installed .venv/hardware/.installed
	@$(PY) -m pytest -n0 -m soak --timeout=0 $(ARGS) || { [ $$? -eq 5 ] && echo "no long campaigns yet"; }

# Nothing outside the checkout is touched or asked: PlatformIO's own folder lies in .venv/pio, and it does not call home.
pio: .venv/.installed .venv/pio/.installed
	@PLATFORMIO_CORE_DIR="$(CURDIR)/.venv/pio/core" PLATFORMIO_SETTING_ENABLE_TELEMETRY=no \
	    PLATFORMIO_DISABLE_UPGRADE_CHECK=true .venv/pio/bin/pio $(ARGS)

hardware: system-packages .venv/.test .venv/hardware/.installed
	@$(PY) hardware/draw_wiring.py
	@.venv/hardware/bin/python hardware/enclosure.py --output out/hardware $(ARGS)

clean:
	rm -rf .venv .pio typings build dist .cache .hypothesis .pytest_cache .ruff_cache .mypy_cache
	find firmware host tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what they stand on: each step leaves a stamp, and a stamp older than what made it is made again ---

# Each candidate is *run*: a shim on the PATH may stand for an interpreter that is not there. An interpreter without
# ensurepip (Debian splits it off) is named, with the package that it lacks, when no other will do.
.venv/bin/python:
	@found=; lacks=; \
	for each in "$${DRONEWALL_PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3; do \
	    [ -n "$$each" ] || continue; \
	    if "$$each" -c 'import sys, sysconfig; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 15) and not sysconfig.get_config_var("Py_GIL_DISABLED")))' >/dev/null 2>&1; then \
	        if "$$each" -c 'import venv, ensurepip' >/dev/null 2>&1; then found="$$each"; break; fi; \
	        [ -n "$$lacks" ] || lacks="$$each"; \
	    fi; \
	    [ "$$each" != "$${DRONEWALL_PYTHON:-}" ] || break; \
	done; \
	if [ -z "$$found" ]; then \
	    if [ -n "$${DRONEWALL_PYTHON:-}" ] && [ -z "$$lacks" ]; then \
	        echo "DRONEWALL_PYTHON=$$DRONEWALL_PYTHON is no Python 3.11 to 3.14 that runs here" >&2; \
	    elif [ -n "$$lacks" ] && command -v apt-get >/dev/null 2>&1; then \
	        case $$(command -v "$$lacks") in \
	        /usr/bin/*) echo "$$lacks has no venv: apt-get install $$("$$lacks" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')" >&2;; \
	        *) echo "$$lacks has no venv and ensurepip modules: choose another with DRONEWALL_PYTHON=/path/to/python" >&2;; esac; \
	    elif [ -n "$$lacks" ]; then echo "$$lacks has no venv and ensurepip modules: choose another with DRONEWALL_PYTHON=/path/to/python" >&2; \
	    elif command -v brew >/dev/null 2>&1; then echo "no Python 3.11 to 3.14 found: brew install python@3.13" >&2; \
	    elif command -v apt-get >/dev/null 2>&1; then echo "no Python 3.11 to 3.14 found: apt-get install python3-venv" >&2; \
	    else echo "no Python 3.11 to 3.14 found: install one, or set DRONEWALL_PYTHON=/path/to/python" >&2; fi; \
	    exit 1; \
	fi; \
	echo "setting up .venv with $$("$$found" -c 'import platform, sys; print(sys.executable, platform.python_version())')"; \
	"$$found" -m venv --clear .venv

PINS := pyproject.toml constraints.txt tools/build_hook.py

.venv/.installed: $(PINS) | .venv/bin/python
	@echo "installing dronewall into .venv (once, about a minute)"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

# One after the other, or two pips would write into one environment under make -j.
.venv/.test: .venv/.installed
	@echo "installing the test tools into .venv"
	@$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@

.venv/.lint: .venv/.test
	@echo "installing the lint tools into .venv"
	@$(PIP) install -c constraints.txt -e '.[lint]'
	@touch $@

# xarray-spatial brings pandas and more, so it has an environment of its own. It goes with .venv, whose Python it has.
.venv/peers/.installed: benchmarks/requirements.txt | .venv/bin/python
	@echo "installing xarray-spatial into .venv/peers"
	@$(PY) -m venv --clear .venv/peers
	@.venv/peers/bin/python -m pip --disable-pip-version-check -qq install -r benchmarks/requirements.txt
	@touch $@

# PlatformIO pins what dronewall needs newer, so it has an environment of its own as well, and in it its package of SCons.
.venv/pio/.installed: tools/platformio/requirements.txt tools/platformio/tool_scons.py | .venv/bin/python
	@echo "installing PlatformIO into .venv/pio"
	@$(PY) -m venv --clear .venv/pio
	@.venv/pio/bin/python -m pip --disable-pip-version-check -qq install -r tools/platformio/requirements.txt
	@.venv/pio/bin/python tools/platformio/tool_scons.py .venv/pio/core
	@touch $@

# build123d brings a whole geometry kernel, so it has an environment of its own, too.
.venv/hardware/.installed: hardware/requirements.txt | .venv/bin/python
	@echo "installing what the enclosure is modelled with into .venv/hardware (once, some minutes)"
	@$(PY) -m venv --clear .venv/hardware
	@.venv/hardware/bin/python -m pip --disable-pip-version-check -qq install --no-compile -r hardware/requirements.txt
	@touch $@

# MicroPython with 32-bit integers. npm is there by then: system-packages comes before.
.venv/wasm/.installed: tools/wasm/package.json tools/wasm/package-lock.json | .venv/bin/python system-packages
	@echo "installing MicroPython's WebAssembly build into .venv/wasm"
	@mkdir -p .venv/wasm
	@cp tools/wasm/package.json tools/wasm/package-lock.json .venv/wasm/
	@npm ci --prefix .venv/wasm --silent --no-audit --no-fund --ignore-scripts </dev/null
	@touch $@

# No stamp: where all is there it takes 2 ms.
system-packages:
	@tools/system-packages

# Their own folder, see pyproject.toml. Not --target over an old one: pip would leave what is there.
typings/.installed: $(PINS) | .venv/.lint
	@echo "unpacking the MicroPython stubs into typings"
	@rm -rf typings
	@$(PIP) install -c constraints.txt --no-deps --target typings micropython-esp32-stubs micropython-stdlib-stubs
	@touch $@
