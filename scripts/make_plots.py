"""Draws the picture of docs/plots.md, docs/images/moons.png, from the example network with two inputs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from PIL import Image

import relu_shallow as rs

ROOT = Path(__file__).resolve().parents[1]
VIEW = (-2, 3, -1.5, 2)
COLOURS = 48  # are enough, and make the file a quarter as large


def main() -> None:
    table = pd.read_csv(ROOT / "examples" / "moons.csv")
    shallow = rs.convert(ROOT / "examples" / "moons.pt")
    picture = ROOT / "docs" / "images" / "moons.png"
    rs.plot_regions(shallow, picture, view=VIEW, data=table[["across", "up"]], target=table["moon"])
    Image.open(picture).quantize(COLOURS).save(picture, optimize=True)
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
