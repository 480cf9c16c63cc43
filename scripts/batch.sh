#!/bin/sh
# Converts, verifies and explains every model of a folder: sh scripts/batch.sh DIR DATA OUT [DATA OPTIONS]
#
# DATA is a table whose rows are explained and whose box is the domain (set DOMAIN for another, as in --domain);
# DATA OPTIONS such as --drop target say how it is read. OUT gets results.jsonl, with one line per model, and every
# model's converted file, SHAP values and page. Exit status: 0 all passed, 1 one failed, 2 bad usage.
set -eu
if [ $# -lt 3 ]; then
    echo "usage: sh scripts/batch.sh DIR DATA OUT [--drop NAME] [--columns A,B,...] [--no-header]" >&2
    exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/scripts/setup_environment.sh" >&2
exec "$root/.venv/bin/python" "$root/scripts/batch.py" "$@"
