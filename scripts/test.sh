#!/bin/sh
# Everything CI checks: ruff, mypy, the tests. Arguments go to pytest: sh scripts/test.sh tests/cli -x
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup_environment.sh dev
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
echo "== ruff"
.venv/bin/python -m ruff check .
echo "== mypy"
.venv/bin/python -m mypy
echo "== pytest"
if [ $# -eq 0 ]; then set -- -n auto; fi # all tests on all cores
exec .venv/bin/python -m pytest "$@"
