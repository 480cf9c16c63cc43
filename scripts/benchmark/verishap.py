"""Certified intervals by VeriSHAP's published method, compiled, as a system of the benchmark.

Boetius, Bassan, Katz, Leue and Sutter, Verified SHAP: Provable Bounds for Exact Shapley Values of Neural Networks
(arXiv 2605.24084), whose public code is in JAX: branch and bound over sets of coalitions, each given by the features
that are in, out or free. The value of every coalition of a set lies between two constants, found by bounding the
network over the box of masks; the set whose difference of the two times its weight is largest is split next, by
including or excluding the feature with the largest smear (the bound on the slope of the value). A set is done with when
both constants are (nearly) equal, or only one coalition is left. Over several background rows the value is the mean.

This is the same method written anew: one set at a time instead of batches for a GPU, in float64 instead of float32, and
without outward rounding, as theirs. `bounds` is theirs too: INTERVALS for every layer; CROWN_IBP, linear relaxations of
the output on intervals of the neurons, their default; CROWN, linear relaxations of every neuron, the tightest.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from relu_shallow.lp.kernel import JIT, LEAN
from relu_shallow.network import Network, dense

INTERVALS, CROWN_IBP, CROWN = 0, 1, 2
NODES = 1 << 21  # sets kept at most
SPLITS = 200  # between looks at the clock
CLOSE_RELATIVE, CLOSE = 1e-5, 1e-8  # what their jnp.isclose takes for equal


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Bounds lo <= phi <= hi after some times, (times, inputs); the seconds used, splits, whether all is settled."""

    lo: np.ndarray
    hi: np.ndarray
    seconds: np.ndarray
    splits: np.ndarray
    settled: np.ndarray


def enclosures(network: Network, x: np.ndarray, B: np.ndarray, bounds: int, times: list[float]) -> Enclosure:
    """The bounds of one search, for the first output, read off after each of these seconds, background rows equal."""
    nets = _as_masks(network, x, B)
    state = np.zeros((NODES, len(x)), np.int8)
    axis, numbers = np.zeros(NODES, np.int64), np.zeros((4, NODES))
    heap, sums, counts = np.zeros(NODES, np.int64), np.zeros((2, len(x))), np.zeros(3, np.int64)
    shape = (len(times), len(x))
    lo, hi, used = np.zeros(shape), np.zeros(shape), np.zeros(len(times))
    splits, settled = np.zeros(len(times), np.int64), np.zeros(len(times), bool)
    _search(*nets, bounds, state, axis, numbers, heap, sums, counts, 0)  # also compiles
    begin = time.process_time()
    for k, limit in enumerate(times):
        while time.process_time() - begin < limit and counts[1] and counts[0] + 2 <= NODES:
            _search(*nets, bounds, state, axis, numbers, heap, sums, counts, SPLITS)
        used[k] = time.process_time() - begin
        lo[k], hi[k] = sums
        splits[k], settled[k] = counts[2], counts[1] == 0
    return Enclosure(lo, hi, used, splits, settled)


def _as_masks(network: Network, x: np.ndarray, B: np.ndarray) -> tuple[Any, ...]:
    """The networks of the masks, one for each background row: first slopes, constants, the rest's W and b, widths."""
    first, *rest = network.affine
    W = dense(first.W)
    slopes = np.stack([W * (x - y) for y in B])
    constants = B @ W.T + first.b
    matrices = [dense(layer.W) for layer in rest]
    matrices[-1] = matrices[-1][:1]
    biases = [layer.b for layer in rest[:-1]] + [rest[-1].b[:1]]
    width = max(max(M.shape) for M in matrices)
    padded = np.zeros((len(rest), width, width))
    shift = np.zeros((len(rest), width))
    for layer, (M, b) in enumerate(zip(matrices, biases, strict=True)):
        padded[layer, : M.shape[0], : M.shape[1]], shift[layer, : len(b)] = M, b
    widths = np.array([len(first.b), *map(len, biases)])
    return np.ascontiguousarray(slopes), constants, padded, shift, widths


@njit(**LEAN)
def _ranges(layer, A, c, W, b, widths, s, low, high):
    """Intervals of a layer's values from those of the layer before, or from the mask s (0 free, 1 in, -1 out)."""
    for j in range(widths[layer]):
        below = above = c[j] if layer == 0 else b[layer - 1, j]
        if layer == 0:
            for i in range(s.size):
                if s[i] > 0:
                    below += A[j, i]
                    above += A[j, i]
                elif s[i] == 0:
                    below += min(A[j, i], 0.0)
                    above += max(A[j, i], 0.0)
        else:
            for k in range(widths[layer - 1]):
                w, p, q = W[layer - 1, j, k], max(low[layer - 1, k], 0.0), max(high[layer - 1, k], 0.0)
                below += w * p if w > 0.0 else w * q
                above += w * q if w > 0.0 else w * p
        low[layer, j], high[layer, j] = below, above


@njit(**LEAN)
def _line(top, j, upper, A, c, W, b, widths, low, high, g, h, slopes):
    """The constant of an affine map of the mask above, or below, value j of layer top; its slopes go into `slopes`."""
    constant = b[top - 1, j]
    for k in range(widths[top - 1]):
        g[k] = W[top - 1, j, k]
    for layer in range(top - 1, -1, -1):
        for k in range(widths[layer]):
            p, q = low[layer, k], high[layer, k]
            if q <= 0.0:
                g[k] = 0.0
            elif p < 0.0:
                if (g[k] > 0.0) == upper:
                    g[k] *= q / (q - p)
                    constant -= g[k] * p
                elif q <= -p:
                    g[k] = 0.0
        if layer == 0:
            break
        for t in range(widths[layer - 1]):
            h[t] = 0.0
        for k in range(widths[layer]):
            if g[k] != 0.0:
                constant += g[k] * b[layer - 1, k]
                for t in range(widths[layer - 1]):
                    h[t] += g[k] * W[layer - 1, k, t]
        for t in range(widths[layer - 1]):
            g[t] = h[t]
    for i in range(slopes.size):
        slopes[i] = 0.0
    for k in range(widths[0]):
        if g[k] != 0.0:
            constant += g[k] * c[k]
            for i in range(slopes.size):
                slopes[i] += g[k] * A[k, i]
    return constant


@njit(**LEAN)
def _end(constant, slopes, s, upper):
    """The largest, or least, value of an affine map over the masks of a set."""
    for i in range(s.size):
        if s[i] > 0:
            constant += slopes[i]
        elif s[i] == 0:
            constant += max(slopes[i], 0.0) if upper else min(slopes[i], 0.0)
    return constant


@njit(**LEAN)
def _smear(A, W, widths, low, high, g, h, least, most):
    """Adds bounds on the slopes of the value by intervals, backwards: a gate's slope is in [0, 1], or known."""
    last = widths.size - 1
    for k in range(widths[last - 1]):
        g[0, k] = g[1, k] = W[last - 1, 0, k]
    for layer in range(last - 1, -1, -1):
        for k in range(widths[layer]):
            if high[layer, k] <= 0.0:
                g[0, k] = g[1, k] = 0.0
            elif low[layer, k] < 0.0:
                g[0, k], g[1, k] = min(g[0, k], 0.0), max(g[1, k], 0.0)
        if layer == 0:
            break
        for t in range(widths[layer - 1]):
            h[0, t] = h[1, t] = 0.0
        for k in range(widths[layer]):
            for t in range(widths[layer - 1]):
                w = W[layer - 1, k, t]
                x, y = g[0, k] * w, g[1, k] * w
                h[0, t] += min(x, y)
                h[1, t] += max(x, y)
        for t in range(widths[layer - 1]):
            g[0, t], g[1, t] = h[0, t], h[1, t]
    for k in range(widths[0]):
        for i in range(least.size):
            x, y = g[0, k] * A[k, i], g[1, k] * A[k, i]
            least[i] += min(x, y)
            most[i] += max(x, y)


@njit(**JIT)
def _bound(slopes, constants, W, b, widths, bounds, s, room, ends, score):
    """Puts bounds on the mean value over a set into ends, and every feature's smear into score."""
    low, high, g, h, line, total, least, most = room
    last = widths.size - 1
    ends[0] = ends[1] = 0.0
    for i in range(s.size):
        total[0, i] = total[1, i] = least[i] = most[i] = 0.0
    for y in range(constants.shape[0]):
        A, c = slopes[y], constants[y]
        for layer in range(last + (bounds == INTERVALS)):
            _ranges(layer, A, c, W, b, widths, s, low, high)
            if bounds != CROWN or layer == 0:
                continue
            for j in range(widths[layer]):
                if low[layer, j] < 0.0 < high[layer, j]:
                    top = _line(layer, j, True, A, c, W, b, widths, low, high, g[0], h[0], line)
                    top = _end(top, line, s, True)
                    bottom = _line(layer, j, False, A, c, W, b, widths, low, high, g[0], h[0], line)
                    bottom = _end(bottom, line, s, False)
                    low[layer, j], high[layer, j] = max(low[layer, j], bottom), min(high[layer, j], top)
        _smear(A, W, widths, low, high, g, h, least, most)
        if bounds == INTERVALS:
            ends[0] += low[last, 0]
            ends[1] += high[last, 0]
        else:
            for side in range(2):
                ends[side] += _line(last, 0, side == 1, A, c, W, b, widths, low, high, g[0], h[0], line)
                for i in range(s.size):
                    total[side, i] += line[i]
    if bounds != INTERVALS:
        for side in range(2):
            ends[side] = _end(ends[side], total[side], s, side == 1)
    for side in range(2):
        ends[side] /= constants.shape[0]
    for i in range(s.size):
        score[i] = max(-least[i], most[i]) if s[i] == 0 else -1.0


@njit(**LEAN)
def _add(sign, s, low, high, weight, sums):
    """Adds a set's part of every Shapley value's bounds, or takes it off."""
    inside, fixed = 0, 0
    for i in range(s.size):
        inside += s[i] > 0
        fixed += s[i] != 0
    for i in range(s.size):
        if s[i] > 0:
            share = sign * weight * (fixed + 1.0) / inside
            sums[0, i] += share * low
            sums[1, i] += share * high
        elif s[i] < 0:
            share = sign * weight * (fixed + 1.0) / (fixed - inside)
            sums[0, i] -= share * high
            sums[1, i] -= share * low
        else:
            sums[0, i] += sign * weight * (low - high)
            sums[1, i] += sign * weight * (high - low)


@njit(**LEAN)
def _push(heap, size, node, priority):
    at = size
    while at > 0 and priority[heap[(at - 1) // 2]] < priority[node]:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = node


@njit(**LEAN)
def _pop(heap, size, priority):
    """Takes the first of `size` entries off."""
    top, moved, at = heap[0], heap[size - 1], 0
    size -= 1
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and priority[heap[child + 1]] > priority[heap[child]]:
            child += 1
        if priority[heap[child]] <= priority[moved]:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moved
    return top


@njit(**JIT)
def _search(slopes, constants, W, b, widths, bounds, state, axis, numbers, heap, sums, counts, splits):
    """Splits so many sets, or begins with the set of all coalitions.

    `numbers` are each node's lower and upper value, weight and priority, `axis` the feature to split it by; `counts`
    are the nodes in use, the size of the heap, and the splits made. The half without the feature takes its parent's
    place.
    """
    n, size = state.shape[1], max(W.shape[1], state.shape[1])
    room = (np.empty((widths.size, size)), np.empty((widths.size, size)), np.empty((2, size)), np.empty((2, size)),
            np.empty(n), np.empty((2, n)), np.empty(n), np.empty(n))  # fmt: skip
    ends, score = np.empty(2), np.empty(n)
    low, high, weight, priority = numbers[0], numbers[1], numbers[2], numbers[3]
    begun = counts[0] > 0
    for _ in range(splits if begun else 1):
        if begun and (counts[1] == 0 or counts[0] == state.shape[0]):
            return
        first = second = 0
        if begun:
            first, second = _pop(heap, counts[1], priority), counts[0]
            counts[1] -= 1
            _add(-1.0, state[first], low[first], high[first], weight[first], sums)
            inside = fixed = 0
            for i in range(n):
                state[second, i] = state[first, i]
                inside += state[first, i] > 0
                fixed += state[first, i] != 0
            state[first, axis[first]], state[second, axis[first]] = -1, 1
            weight[second] = weight[first] * (inside + 1.0) / (fixed + 2.0)
            weight[first] *= (fixed + 1.0 - inside) / (fixed + 2.0)
            counts[2] += 1
        else:
            weight[0] = 1.0
        counts[0] += 1
        for half in range(2 if begun else 1):
            node = second if half else first
            _bound(slopes, constants, W, b, widths, bounds, state[node], room, ends, score)
            low[node], high[node], axis[node] = ends[0], ends[1], np.argmax(score)
            priority[node] = (ends[1] - ends[0]) * weight[node]
            _add(1.0, state[node], ends[0], ends[1], weight[node], sums)
            if score.max() >= 0.0 and ends[1] - ends[0] > CLOSE + CLOSE_RELATIVE * abs(ends[0]):
                _push(heap, counts[1], node, priority)
                counts[1] += 1
        begun = True
