"""Converts, verifies and explains every model of a folder, each in processes of its own; see batch.sh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ENDINGS = (".pt", ".pth", ".pt2", ".onnx", ".nnet", ".safetensors")
CONVERTED = ".shallow.safetensors"


def main(arguments: list[str]) -> int:
    folder, data, out, options = Path(arguments[0]), arguments[1], Path(arguments[2]), arguments[3:]
    if not folder.is_dir():
        return refuse(f"{folder} is not a folder of models")
    if not Path(data).is_file():
        return refuse(f"{data} is not a data file")
    models = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS]
    models = [path for path in models if not path.name.endswith(CONVERTED)]
    if not models:
        return refuse(f"{folder} holds no model ({', '.join(ENDINGS)})")
    out.mkdir(parents=True, exist_ok=True)
    results = []
    for number, model in enumerate(models, start=1):
        results.append(run_model(model, data, out, options))
        verdict = "passed" if results[-1]["ok"] else f"FAILED: {results[-1]['error']}"
        print(f"[{number}/{len(models)}] {model.name}: {verdict}", file=sys.stderr)
    unfinished = out / ".results.jsonl"
    unfinished.write_text("".join(json.dumps(result) + "\n" for result in results), encoding="utf-8")
    unfinished.replace(out / "results.jsonl")
    return 0 if all(result["ok"] for result in results) else 1


def run_model(model: Path, data: str, out: Path, options: list[str]) -> dict[str, object]:
    """One model's line: its file, whether all went well, what each step reported, and the first thing that went wrong.

    Steps after one that failed are not run.
    """
    converted = out / f"{model.name}{CONVERTED}"
    domain = os.environ.get("DOMAIN", f"data:{data}")
    steps = {
        "convert": [str(model), "-o", str(converted), "--domain", domain],
        "verify": [str(converted), "--model", str(model), "--data", data],
        "explain": [str(converted), data, "-o", str(out / f"{model.name}.shap.csv"),
                    "--html", str(out / f"{model.name}.html")],
    }  # fmt: skip
    line: dict[str, object] = {"model": model.name, "ok": True, "error": None}
    for step, arguments in steps.items():
        command = [sys.executable, "-m", "relu_shallow", step, *arguments, *options, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        line[step] = json.loads(done.stdout) if done.stdout else None
        if done.returncode:
            words = done.stderr.strip().splitlines() or [f"{step} answered no"]
            return line | {"ok": False, "error": f"{step}: {words[-1]}"}
    return line


def refuse(message: str) -> int:
    print(f"batch: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
