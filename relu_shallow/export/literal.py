"""The literal three-hidden-layer network as a torch.export program (.pt2)."""

from __future__ import annotations

from pathlib import Path

from relu_shallow.shallow.table import ShallowNetwork

EXAMPLE_ROWS = 2  # what the program is traced with; the number of rows is left open


def write_pt2(shallow: ShallowNetwork, path: Path) -> None:
    """Traces the literal network, of an open number of rows, and saves the program."""
    import torch

    from relu_shallow.shallow.literal import LiteralNetwork

    module = LiteralNetwork(shallow).eval()
    rows = torch.zeros(EXAMPLE_ROWS, shallow.network.inputs, dtype=torch.float64)
    program = torch.export.export(module, (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    with path.open("wb") as stream:
        torch.export.save(program, stream)
