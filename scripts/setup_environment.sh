#!/bin/sh
# Makes the environment .venv beside this folder and installs relu-shallow in it; does nothing where that is done.
#
#   sh scripts/setup_environment.sh          for the demo and for use
#   sh scripts/setup_environment.sh dev      for the tests too
#
# pip is called without any index of ours, so your own pip configuration holds. Set PYTHON to choose the interpreter.
set -eu
cd "$(dirname "$0")/.."
extra=${1:-}
venv=.venv

say() { printf '%s\n' "== $*"; }

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer is needed and was not found; install it, or name it: PYTHON=/path/to/python3 sh $0" >&2
    return 1
}

# What decides whether the installation is up to date. The package itself is installed in place, so that its own
# files need no new installation.
stamp_now=$(cat pyproject.toml constraints.txt scripts/setup_environment.sh | cksum)
stamped() { [ -x "$venv/bin/python" ] && [ "$(cat "$venv/$1.stamp" 2>/dev/null || true)" = "$stamp_now" ]; }

if stamped installed-dev || { [ "$extra" != dev ] && stamped installed; }; then
    say "environment $venv is up to date"
    exit 0
fi

if ! [ -x "$venv/bin/python" ]; then
    python=$(find_python)
    say "making the environment $venv with $("$python" --version)"
    if ! "$python" -m venv "$venv"; then
        rm -rf "$venv"
        echo "the environment could not be made; on Debian and Ubuntu the package python3-venv is needed" >&2
        exit 2
    fi
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

if ! "$venv/bin/python" -c 'import importlib.metadata as m; m.version("torch")' >/dev/null 2>&1; then
    say "asking pip which build of torch it would take"
    build=$(pip install --quiet --dry-run --no-deps --report - -c constraints.txt torch 2>/dev/null |
        "$venv/bin/python" scripts/torch_build.py || true)
    if [ "$build" = accelerator ]; then
        say "NOTE: pip would take the torch build for NVIDIA accelerators: several gigabytes with its libraries."
        say "relu-shallow needs the CPU build only. To have that, stop now (Ctrl-C) and point pip at the CPU wheels,"
        say "as PyTorch's installation page shows; then run this again."
        if [ -t 1 ]; then sleep 10; fi
    fi
    say "installing torch (the largest part)"
    pip install --quiet -c constraints.txt torch
fi
say "installing relu-shallow and what it needs"
pip install --quiet -c constraints.txt -e ".${extra:+[$extra]}"
printf '%s\n' "$stamp_now" >"$venv/installed${extra:+-$extra}.stamp"
say "environment $venv is ready"
