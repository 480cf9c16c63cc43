"""The published way of SplineCam, in two dimensions: every polygon of a layer cut at once by the next layer's lines.

Written anew in NumPy and Python from the paper (Humayun, Balestriero, Balakrishnan and Baraniuk, CVPR 2023, arXiv
2302.12828); the authors' program needs graph-tool and a GPU. Layer by layer: the lines of the next layer's neurons
that cross a polygon, their crossings with its edges and with each other, and the faces of that graph, walked once each
by the next edge at every corner (the authors look for shortest cycles). All in floats: faces that rounding makes or
loses are counted as they come.
"""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np

from benchmark.problem import Layers

Polygon = np.ndarray  # corners in order, counter-clockwise, (corners, 2)


def partition(layers: Layers, deadline: float) -> tuple[list[Polygon], bool]:
    """The polygons on which a ReLU network is affine on [-1, 1]^2, and whether they were done by the deadline."""
    polygons: list[Polygon] = [np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])]
    maps = [np.eye(2, 3)]  # of each polygon, on (x, y, 1): what enters the layer
    for W, b in layers[:-1]:
        cut: list[Polygon] = []
        entering: list[np.ndarray] = []
        for polygon, inner in zip(polygons, maps, strict=True):
            lines = W @ inner
            lines[:, 2] += b
            faces = faces_of(polygon, lines)
            cut += faces
            for face in faces:
                on = lines @ np.append(face.mean(axis=0), 1.0) > 0
                entering.append(lines * on[:, None])
            if time.perf_counter() > deadline:
                return cut, False
        polygons, maps = cut, entering
    return polygons, True


def faces_of(polygon: Polygon, lines: np.ndarray) -> list[Polygon]:
    """The parts of a convex polygon between lines a x + b y + c = 0."""
    values = lines[:, :2] @ polygon.T + lines[:, 2:]
    change = (values > 0) != (np.roll(values, -1, axis=1) > 0)
    crossing = np.flatnonzero(change.sum(axis=1) == 2)
    if not len(crossing):
        return [polygon]
    edge = np.nonzero(change[crossing])[1].reshape(-1, 2)
    here = np.take_along_axis(values[crossing], edge, axis=1)
    beyond = np.take_along_axis(values[crossing], (edge + 1) % len(polygon), axis=1)
    part = here / (here - beyond)
    start, end = polygon[edge], polygon[(edge + 1) % len(polygon)]
    ends = start + part[:, :, None] * (end - start)  # of each chord, (chords, 2, 2)
    points = [polygon, ends.reshape(-1, 2)]
    corners = len(polygon)
    number = corners + np.arange(2 * len(crossing)).reshape(-1, 2)
    chains = [[k, *(number[edge == k][np.argsort(part[edge == k])]).tolist(), (k + 1) % corners]
              for k in range(corners)]  # fmt: skip
    sides = np.einsum("lk,ijk->lij", lines[crossing, :2], ends) + lines[crossing, 2][:, None, None]
    apart = (sides[:, :, 0] > 0) != (sides[:, :, 1] > 0)
    first, second = np.nonzero(np.triu(apart & apart.T, 1))
    met = np.zeros((0, 2))
    if len(first):
        along = sides[second, first, 0] / (sides[second, first, 0] - sides[second, first, 1])
        met = ends[first, 0] + along[:, None] * (ends[first, 1] - ends[first, 0])
    points.append(met)
    inside = corners + 2 * len(crossing) + np.arange(len(met))
    for chord in range(len(crossing)):
        own = np.flatnonzero((first == chord) | (second == chord))
        way = (met[own] - ends[chord, 0]) @ (ends[chord, 1] - ends[chord, 0])
        chains.append([number[chord, 0], *inside[own[np.argsort(way)]].tolist(), number[chord, 1]])
    return _walked(np.concatenate(points), chains)


def _walked(points: np.ndarray, chains: list[list[int]]) -> list[Polygon]:
    """The faces of a plane graph inside its outline: at every corner the next edge clockwise from the one taken."""
    around: list[list[int]] = [[] for _ in points]
    for chain in chains:
        for one, other in pairwise(chain):
            around[one].append(other)
            around[other].append(one)
    following: dict[tuple[int, int], int] = {}
    for corner, others in enumerate(around):
        away = points[others] - points[corner]
        ordered = [others[k] for k in np.argsort(np.arctan2(away[:, 1], away[:, 0]))]
        for place, other in enumerate(ordered):
            following[other, corner] = ordered[place - 1]
    faces = []
    while following:
        step = next(iter(following))
        face = []
        while step in following:
            then = following.pop(step)
            face.append(step[1])
            step = (step[1], then)
        corners = points[face]
        x, y = corners[:, 0], corners[:, 1]
        if (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() > 0:
            faces.append(corners)
    return faces
