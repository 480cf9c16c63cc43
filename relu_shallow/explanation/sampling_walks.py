"""Gains of features along orders: compiled steps for narrow dense networks, matrix products for all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.explanation.background import Background
from relu_shallow.explanation.sampling_kernel import walk
from relu_shallow.network import Network, stacked

NARROW = 200  # neurons in the widest layer up to which compiled steps beat matrix products (measured)
LANES = 256  # hybrids evaluated at once by compiled steps: they stay in the cache
HYBRIDS = 2048  # by matrix products

# bs, d, orders of `sampling_kernel`
Orders = tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Int[np.ndarray, "pairs inputs"]]
Gains = Float[np.ndarray, "pairs outputs inputs"]


@dataclass(frozen=True, eq=False)
class Game:
    """A network and a background, with what every walk needs: outputs and first pre-activations at its rows.

    `W1T` is the first layer transposed where it is dense, else empty, and so is `ZB` = X W1T; `compiled` the
    arrays for compiled steps, or nothing where it is walked by matrix products.
    """

    network: Network
    background: Background
    FB: Float[np.ndarray, "rows outputs"]
    W1T: Float[np.ndarray, "inputs neurons"]
    ZB: Float[np.ndarray, "rows neurons"]
    compiled: tuple[np.ndarray, ...]


def game_of(network: Network, background: Background) -> Game:
    """The game of a network and a background."""
    first = network.affine[0]
    held = isinstance(first.W, np.ndarray)
    W1T = np.ascontiguousarray(first.W.T) if held else np.zeros((network.inputs, 0))
    ZB = background.X @ W1T
    return Game(network, background, np.ascontiguousarray(network(background.X)), W1T, ZB, _compiled(network))


def _compiled(network: Network) -> tuple[np.ndarray, ...]:
    all_dense = all(isinstance(layer.W, np.ndarray) for layer in network.affine)
    if not (network.gates and all_dense and max(network.widths) <= NARROW):
        return ()
    last = network.affine[-1]
    return (*stacked(network), np.ascontiguousarray(last.W.T), last.b)


def gains_along(game: Game, x: Float[np.ndarray, " inputs"], fx: Float[np.ndarray, " outputs"], drawn: Orders) -> Gains:
    """What each feature gains in each pair, the mean of the order and its reverse; fx is the output at x."""
    if not game.compiled:
        return _by_products(game, x, fx, drawn)
    gains = np.zeros((len(drawn[0]), len(fx), len(x)))
    walk(x, game.background.X, game.ZB, x @ game.W1T, game.FB, fx, game.W1T, *game.compiled, *drawn, gains, LANES)
    return gains


def _by_products(
    game: Game, x: Float[np.ndarray, " inputs"], fx: Float[np.ndarray, " outputs"], drawn: Orders
) -> Gains:
    bs, d, orders = drawn
    gains = np.zeros((len(bs), len(fx), len(x)))
    inner = np.maximum(d - 1, 0)  # coalitions that are neither empty nor all
    begin = 0
    while begin < len(bs):
        end = begin + max(1, int(np.searchsorted(np.cumsum(2 * inner[begin:]), HYBRIDS, side="right")))
        values = _inner_values(game, x, bs[begin:end], inner[begin:end], orders[begin:end])
        at = 0
        for p in range(begin, end):
            v = values[at : at + 2 * inner[p]]
            level = np.empty((d[p] + 1, len(fx)))
            level[0], level[d[p]] = (game.FB[bs[p]] - fx) / 2, (fx - game.FB[bs[p]]) / 2
            level[1 : d[p]] = (v[: inner[p]] - v[inner[p] :]) / 2
            gains[p][:, orders[p, : d[p]]] = np.diff(level, axis=0).T
            at += 2 * inner[p]
        begin = end
    return gains


def _inner_values(
    game: Game,
    x: Float[np.ndarray, " inputs"],
    bs: Int[np.ndarray, " some"],
    inner: Int[np.ndarray, " some"],
    orders: Int[np.ndarray, "some inputs"],
) -> Float[np.ndarray, "hybrids outputs"]:
    """Outputs at the coalitions along each order, then at their complements, pair after pair."""
    held = game.W1T.shape[1] > 0
    first = game.network.affine[0]
    zx = x @ game.W1T + first.b if held else x
    points = np.empty((2 * int(inner.sum()), len(first.b) if held else len(x)))
    at = 0
    for b, count, order in zip(bs, inner, orders, strict=True):
        to, back = points[at : at + count], points[at + count : at + 2 * count]
        taken = order[:count]
        step = x[taken] - game.background.X[b, taken]
        if held:
            np.cumsum(step[:, None] * game.W1T[taken], axis=0, out=to)
            np.subtract(zx, to, out=back)
            to += game.ZB[b] + first.b
        else:
            rank = np.full(len(x), len(x))
            rank[taken] = np.arange(count)
            mine = rank[None, :] <= np.arange(count)[:, None]
            to[:], back[:] = np.where(mine, x, game.background.X[b]), np.where(mine, game.background.X[b], x)
        at += 2 * count
    return _outputs(game.network, points) if held else game.network(points)


def _outputs(network: Network, z: Float[np.ndarray, "hybrids neurons"]) -> Float[np.ndarray, "hybrids outputs"]:
    """Outputs where the first pre-activations are z, which is overwritten."""
    for gate, layer in zip(network.gates, network.affine[1:], strict=True):
        if gate.inactive.any() or (gate.active != 1).any():
            z *= np.where(z > 0, gate.active, gate.inactive)
        else:
            np.maximum(z, 0.0, out=z)
        z = (layer.W @ z.T).T + layer.b
    return z
