#!/bin/sh
# The whole job on a real network: convert, verify, explain. Leaves demo-output/diabetes.html to open.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup_environment.sh
out=demo-output
mkdir -p "$out"
run() {
    printf '\n$ relu-shallow %s\n' "$*"
    .venv/bin/relu-shallow "$@"
}

echo
echo "The network: a year's progression of diabetes from ten measurements, trained on 354 patients (examples/)."
run inspect examples/diabetes.pt
echo
echo "All its linear regions within the range of the patients, as one shallow network:"
run convert examples/diabetes.pt --domain data:examples/diabetes.csv --drop progression -o "$out/diabetes.shallow.safetensors"
echo
echo "Is it the same function?"
run verify "$out/diabetes.shallow.safetensors" --model examples/diabetes.pt --data examples/diabetes.csv
echo
echo "Why does it predict what it predicts, for every patient?"
run explain "$out/diabetes.shallow.safetensors" examples/diabetes.csv -o "$out/diabetes-shap.csv" --html "$out/diabetes.html"
echo
echo "Done. Open $out/diabetes.html in a browser; the numbers are in $out/diabetes-shap.csv."
