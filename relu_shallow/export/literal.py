"""The literal three-hidden-layer network as a torch.export program (.pt2)."""

from __future__ import annotations

import io
from pathlib import Path

from relu_shallow.errors import OutputError
from relu_shallow.shallow.table import ShallowNetwork

EXAMPLE_ROWS = 2  # what the program is traced with; the number of rows is left open


def write_pt2(shallow: ShallowNetwork, path: Path) -> None:
    """Traces the literal network, of an open number of rows, and saves the program."""
    if not shallow.half_spaces:
        raise OutputError(
            "this network has one region and no half-space, so it is affine and its literal form has empty layers, "
            "which a .pt2 file cannot hold; export it as .npz, .json or .csv"
        )
    import torch

    from relu_shallow.shallow.literal import LiteralNetwork

    module = LiteralNetwork(shallow).eval()
    rows = torch.zeros(EXAMPLE_ROWS, shallow.network.inputs, dtype=torch.float64)
    program = torch.export.export(module, (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    content = io.BytesIO()  # on a full disk torch raises a RuntimeError where a plain write raises an OSError
    torch.export.save(program, content)
    path.write_bytes(content.getbuffer())
