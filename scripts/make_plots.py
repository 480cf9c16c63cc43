"""Draws docs/images/moons.png, from the example network with two inputs, and docs/images/digits-plane.png.

The second is a published digit network (mnist-net_256x2.onnx of VNN-COMP 2022) on the plane through a 3, a 5 and an 8;
it is drawn where the folder RELU_SHALLOW_DATA has that network and the digits.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import relu_shallow as rs
from relu_shallow.network import named

ROOT = Path(__file__).resolve().parents[1]
VIEW = (-2, 3, -1.5, 2)
COLOURS = 48  # are enough, and make the file a quarter as large


def main() -> None:
    draw_moons()
    data = Path(os.environ.get("RELU_SHALLOW_DATA", ROOT.parent / "shared" / "data"))
    if data.exists():
        draw_digits(data)


def draw_digits(data: Path) -> None:
    digits = np.load(data / "images" / "mnist" / "mnist_train_10k.npz")
    three = [digits["X"][np.flatnonzero(digits["y"] == digit)[0]].ravel() / 255.0 for digit in (3, 5, 8)]
    network = rs.load_network(data / "onnx" / "mnist_fc" / "mnist-net_256x2.onnx")
    network = named(network, output_names=[f"says {digit}" for digit in range(10)])
    plane = rs.plane(*three, label="the plane through a 3 (0, 0), a 5 (1, 0) and an 8 (0, 1)")
    shallow = rs.convert(network, plane)
    write(shallow, "digits-plane.png", data=np.array(three))


def draw_moons() -> None:
    table = pd.read_csv(ROOT / "examples" / "moons.csv")
    shallow = rs.convert(ROOT / "examples" / "moons.pt")
    write(shallow, "moons.png", view=VIEW, data=table[["across", "up"]], target=table["moon"])


def write(shallow: rs.ShallowNetwork, name: str, **options: object) -> None:
    picture = ROOT / "docs" / "images" / name
    rs.plot_regions(shallow, picture, **options)
    Image.open(picture).quantize(COLOURS).save(picture, optimize=True)
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
