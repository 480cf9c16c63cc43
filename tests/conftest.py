"""Where the tests find real networks, and run-time checks of every annotated array shape."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parents[1]
install_import_hook(
    [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "relu_shallow").rglob("*.py"))
        if path.name != "__init__.py" and "import njit" not in path.read_text()  # compiled code cannot be wrapped
    ],
    "beartype.beartype",
)

DATA = Path(os.environ.get("RELU_SHALLOW_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def _same_draws_every_run():
    """Torch's own generator starts anew in each test, so that a failure seen once is seen again."""
    torch.manual_seed(0)


def data_path(name: str) -> Path:
    """A file of the folder of real networks; skips where it is missing, fails where CI demands it."""
    path = DATA / name
    if not path.exists():
        reason = f"{name} is not in {DATA} (set RELU_SHALLOW_DATA to the folder of real networks)"
        if os.environ.get("RELU_SHALLOW_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
