"""Linear relaxations on one cell, compiled: as relaxation.py, for dense networks too small to keep NumPy busy.

A network comes as `Packed`, a cell's numbers as flat arrays, layers l = 0..L end to end (the last are the outputs):

    lo, hi      (n,)        the cell's box
    low, high   (N + m,)    bounds of pre-activations; those of the outputs are not looked at
    heft        (N + m,)    sum over j of |W_ij| times the largest magnitude of what comes in there
    c, d        (widest,)   a row on its way back through the layers: coefficients above, and below, a layer

A row c.z_l is followed back to the inputs, each gate replaced by a line above it, and what rounding takes is paid for
as there: a layer's product costs gamma(k + 2) of |c|.heft, a sum of K terms gamma(K) of its magnitudes.
"""

from typing import NamedTuple

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import LEAN, ONCE
from relu_shallow.network import Network, dense
from relu_shallow.precision import TINY, UNIT

NEAR, LEANING = 0, 1  # the line that touches a concave gate: the nearer by area, or that of the side of a given point


class Packed(NamedTuple):
    """A dense network's arrays, layers end to end: W row by row, layer l from W[start[l]], its rows from b[off[l]]."""

    widths: np.ndarray  # (L + 2,) with the inputs first
    start: np.ndarray
    off: np.ndarray
    W: np.ndarray
    b: np.ndarray
    inactive: np.ndarray
    active: np.ndarray


def packed(network: Network) -> Packed:
    """The arrays of a network."""
    weights = [dense(layer.W).ravel() for layer in network.affine]
    widths = [network.inputs, *(len(layer.b) for layer in network.affine)]
    none = np.zeros(0)
    return Packed(
        np.array(widths, dtype=np.int64),
        np.concatenate([[0], np.cumsum([len(w) for w in weights])]).astype(np.int64),
        np.concatenate([[0], np.cumsum(widths[1:])]).astype(np.int64),
        np.concatenate(weights),
        np.concatenate([layer.b for layer in network.affine]),
        np.concatenate([none, *(gate.inactive for gate in network.gates)]),
        np.concatenate([none, *(gate.active for gate in network.gates)]),
    )


@njit(**LEAN)
def relative(k):
    """`precision.gamma`."""
    return k * UNIT / (1.0 - k * UNIT)


@njit(**ONCE)
def incoming(net, layer, j, lo, hi, low, high):
    """(lower, upper) of value j that comes into a layer: an input, or a gate's output, rounded outward."""
    if layer == 0:
        return lo[j], hi[j]
    i = net.off[layer - 1] + j
    below, above = low[i], max(low[i], high[i])
    p, q = net.inactive[i], net.active[i]
    first = below * (q if below > 0.0 else p)
    second = above * (q if above > 0.0 else p)
    least, most = min(first, second), max(first, second)
    if below < 0.0 < above:
        least, most = min(least, 0.0), max(most, 0.0)
    return least - 2.0 * UNIT * abs(least), most + 2.0 * UNIT * abs(most)


@njit(**ONCE)
def weigh(net, layer, lo, hi, low, high, middle, half, far):
    """Fills middle, half and far with the ends of what comes into a layer, halved and in magnitude."""
    for j in range(net.widths[layer]):
        below, above = incoming(net, layer, j, lo, hi, low, high)
        middle[j] = 0.5 * below + 0.5 * above
        half[j] = 0.5 * above - 0.5 * below
        far[j] = max(abs(below), abs(above))


@njit(**ONCE)
def intervals(net, layer, narrow, low, high, heft, middle, half, far):
    """A layer's heft and, where `narrow`, its bounds made as tight as intervals make them; False: proved empty."""
    k, at, start = net.widths[layer], net.off[layer], net.start[layer]
    error = relative(k + 8)
    for i in range(net.widths[layer + 1]):
        centre = spread = size = 0.0
        row = start + i * k
        for j in range(k):
            w = net.W[row + j]
            centre += w * middle[j]
            spread += abs(w) * half[j]
            size += abs(w) * far[j]
        heft[at + i] = size
        if narrow:
            b = net.b[at + i]
            below = above = b
            constant = size == 0.0
            for j in range(k if constant else 0):  # the products may have been too small for floats
                constant = constant and (net.W[row + j] == 0.0 or far[j] == 0.0)
            if not constant:
                off = error * (2.0 * size + abs(b)) + TINY
                below, above = centre + b - spread - off, centre + b + spread + off
            low[at + i] = max(low[at + i], below)
            high[at + i] = min(high[at + i], above)
            if low[at + i] > high[at + i]:
                return False
    return True


@njit(**LEAN)
def line(net, top, c, d, low, high, heft, tangent, sides, row, n):
    """Follows c.z_top back: row[:n] gets A, and the constant a comes back, with c.z_top <= A x + a on the cell."""
    constant = size = 0.0
    layers = len(net.widths) - 1
    for layer in range(top, -1, -1):
        k, m, at, start = net.widths[layer], net.widths[layer + 1], net.off[layer], net.start[layer]
        for j in range(k):
            d[j] = 0.0
        straight = magnitude = weight = 0.0
        for i in range(m):
            g = c[i]
            if g == 0.0:
                continue
            straight += g * net.b[at + i]
            magnitude += abs(g) * abs(net.b[at + i])
            weight += abs(g) * heft[at + i]
            first = start + i * k
            for j in range(k):
                d[j] += g * net.W[first + j]
        slack = relative(m + 2) * weight
        constant += straight + slack
        size += magnitude + slack
        if layer == 0:
            break
        offset, magnitude = through(net, layer - 1, c, d, low, high, tangent, sides)
        constant += offset
        size += magnitude
    for j in range(n):
        row[j] = d[j]
    return constant + relative(8 * (top + 1) + net.off[layers] + 16) * size + TINY


@njit(**LEAN)
def touched(on, off, below, above, tangent, side):
    """(m, t) with (on if z > 0 else off) z <= m z + t for below <= z <= above, t computed for the m at hand."""
    if below < 0.0 < above:
        if on > off:
            m = (on * above - off * below) / (above - below)
        elif on == off:
            m = on
        else:
            m = on if (above > -below if tangent == NEAR else side > 0.0) else off
        return m, max(max((off - m) * below, (on - m) * above), 0.0)
    m = on if above > 0.0 else off
    at_low = ((on if below > 0.0 else off) - m) * below
    at_high = ((on if above > 0.0 else off) - m) * above
    return m, max(at_low, at_high)


@njit(**ONCE)
def through(net, gates, c, d, low, high, tangent, sides):
    """Puts the lines above d.gate(z) of a layer of gates into c; returns the sum of offsets and of magnitudes."""
    offset = size = 0.0
    at = net.off[gates]
    for j in range(net.widths[gates + 1]):
        g = d[j]
        i = at + j
        if g == 0.0:
            c[j] = 0.0
            continue
        on, off = g * net.active[i], g * net.inactive[i]
        below, above = low[i], max(low[i], high[i])
        m, t = touched(on, off, below, above, tangent, sides[i])
        c[j] = m
        offset += t
        size += (abs(on) + abs(off) + abs(m)) * max(abs(below), abs(above))
    return offset, size


@njit(**ONCE)
def most_over_box(row, a, lo, hi, n):
    """An upper bound of row.x + a over a box."""
    total = size = 0.0
    for j in range(n):
        total += max(row[j] * lo[j], row[j] * hi[j])
        size += abs(row[j]) * max(abs(lo[j]), abs(hi[j]))
    return total + a + relative(n + 4) * (size + abs(a)) + TINY


@njit(**ONCE)
def most_in_ball(row, a, x, weights, radius, norm, n):
    """An upper bound of row.z + a over |weights (z - x)| <= radius in the norm 1 or 2, by Hoelder's inequality."""
    steep = value = size = 0.0
    for j in range(n):
        g = abs(row[j] / weights[j])
        steep = max(steep, g) if norm == 1 else steep + g * g
        value += row[j] * x[j]
        size += abs(row[j]) * abs(x[j])
    if norm == 2:
        steep = np.sqrt(steep + TINY)
    steep *= radius
    return value + a + steep + relative(2 * n + 8) * (size + abs(a) + steep) + TINY


@njit(**LEAN)
def bound_cell(net, lo, hi, signs, low, high, heft, first, norm, x, weights, radius, sides, c, d, row, work):
    """Makes the bounds of the hidden layers from `first` on tighter, in place; False where the cell is proved empty.

    `low` and `high` come with bounds known before (or infinite ones); `norm` is 1, 2, or 0 where no ball says more than
    the box. Fills `heft` of all layers.
    """
    layers, n = len(net.widths) - 1, net.widths[0]
    middle, half, far = work[0], work[1], work[2]
    for layer in range(layers):
        weigh(net, layer, lo, hi, low, high, middle, half, far)
        hidden = layer < layers - 1 and layer >= first
        if not intervals(net, layer, hidden, low, high, heft, middle, half, far):
            return False
        if not hidden:
            continue
        at, width = net.off[layer], net.widths[layer + 1]
        for i in range(width):
            z = at + i
            if (layer > 0 or norm > 0) and net.active[z] != net.inactive[z]:
                for side in (1.0, -1.0):
                    if low[z] < 0.0 < high[z]:
                        for j in range(width):
                            c[j] = 0.0
                        c[i] = side
                        a = line(net, layer, c, d, low, high, heft, NEAR, sides, row, n)
                        most = most_over_box(row, a, lo, hi, n)
                        if norm > 0:
                            most = min(most, most_in_ball(row, a, x, weights, radius, norm, n))
                        if side > 0.0:
                            high[z] = min(high[z], most)
                        else:
                            low[z] = max(low[z], -most)
            if signs[z] > 0:
                low[z] = max(low[z], 0.0)
            elif signs[z] < 0:
                high[z] = min(high[z], 0.0)
            if low[z] > high[z]:
                return False
    return True


@njit(**LEAN)
def rows_of(net, C, constants, signs, low, high, heft, sides, rows, a, owners, c, d):
    """Lines above the goal C f + constants, then above sign z for each given sign; how many came.

    Each twice, for both tangents, but those of the first layer. `owners` are the neurons, -1 for the goal.
    """
    layers, n = len(net.widths) - 1, net.widths[0]
    count = 0
    for goal in range(len(constants)):
        for tangent in (NEAR, LEANING):
            for i in range(net.widths[layers]):
                c[i] = C[goal, i]
            value = line(net, layers - 1, c, d, low, high, heft, tangent, sides, rows[count], n)
            a[count] = value + constants[goal] + relative(2) * (abs(value) + abs(constants[goal]))
            owners[count] = -1
            count += 1
            if layers == 1:
                break
    for layer in range(layers - 1):
        at, width = net.off[layer], net.widths[layer + 1]
        for i in range(width):
            if signs[at + i] == 0:
                continue
            for tangent in (NEAR, LEANING):
                for j in range(width):
                    c[j] = 0.0
                c[i] = float(signs[at + i])
                a[count] = line(net, layer, c, d, low, high, heft, tangent, sides, rows[count], n)
                owners[count] = at + i
                count += 1
                if layer == 0:
                    break
    return count


@njit(**LEAN)
def costs(net, C, signs, low, high, sides, owners, weights, glance, z, score, c, d):
    """Adds to `score` what each open neuron's lines cost the rows at a point, by the rows' weights.

    `z` are the pre-activations there; a line costs at least `glance` times what it costs anywhere.
    """
    layers = len(net.widths) - 1
    goal = 0
    for r in range(len(owners)):
        tangent = NEAR if r == 0 or owners[r] != owners[r - 1] else LEANING
        if owners[r] < 0:
            tangent = LEANING if r % 2 == 1 else NEAR
            goal = r // 2 if layers > 1 else r
        if weights[r] == 0.0:
            continue
        top = layers - 1
        if owners[r] < 0:
            for i in range(net.widths[layers]):
                c[i] = C[goal, i]
        else:
            top = 0
            while net.off[top + 1] <= owners[r]:
                top += 1
            for i in range(net.widths[top + 1]):
                c[i] = 0.0
            c[owners[r] - net.off[top]] = float(signs[owners[r]])
        line_costs(net, top, c, d, low, high, tangent, sides, weights[r], glance, z, score)


@njit(**ONCE)
def line_costs(net, top, c, d, low, high, tangent, sides, weight, glance, z, score):
    """The same for one row c.z_top."""
    for layer in range(top, 0, -1):
        k, start = net.widths[layer], net.start[layer]
        for j in range(k):
            d[j] = 0.0
        for i in range(net.widths[layer + 1]):
            g = c[i]
            if g != 0.0:
                first = start + i * k
                for j in range(k):
                    d[j] += g * net.W[first + j]
        at = net.off[layer - 1]
        for j in range(k):
            i = at + j
            on, off = d[j] * net.active[i], d[j] * net.inactive[i]
            m, t = touched(on, off, low[i], max(low[i], high[i]), tangent, sides[i])
            c[j] = m
            if low[i] < 0.0 < high[i] and net.active[i] != net.inactive[i]:
                here = min(max(z[i], low[i]), high[i])
                gap = abs(m * here + t - here * (on if here > 0.0 else off))
                score[i] += weight * gap + glance * abs(t)


@njit(**LEAN)
def values_at(net, x, z, h, error, h_error):
    """The pre-activations and outputs at a point, and bounds on their errors, as `precision.preactivation_errors`."""
    layers = len(net.widths) - 1
    for j in range(net.widths[0]):
        h[j] = x[j]
        h_error[j] = 0.0
    for layer in range(layers):
        k, at, start = net.widths[layer], net.off[layer], net.start[layer]
        rounding = relative(k + 2)
        for i in range(net.widths[layer + 1]):
            total = net.b[at + i]
            size = abs(total)
            carried = 0.0
            for j in range(k):
                w = net.W[start + i * k + j]
                total += w * h[j]
                size += abs(w) * (abs(h[j]) + h_error[j])
                carried += abs(w) * h_error[j]
            z[at + i] = total
            error[at + i] = carried + rounding * size + (k + 2) * TINY  # underflow takes less than TINY of a product
        if layer < layers - 1:
            for i in range(net.widths[layer + 1]):
                p, q = net.inactive[at + i], net.active[at + i]
                h[i] = z[at + i] * (q if z[at + i] > 0.0 else p)
                h_error[i] = error[at + i] * max(abs(p), abs(q)) + UNIT * abs(h[i]) + TINY


@njit(**ONCE)
def margin_at(net, C, constants, x, z, h, error, h_error):
    """(least of C f(x) + constants, the bound on its error), as `goal.margins`."""
    layers = len(net.widths) - 1
    m, at = net.widths[layers], net.off[layers - 1]
    values_at(net, x, z, h, error, h_error)
    value, unsure = np.inf, 0.0
    for r in range(len(constants)):
        total = size = off = 0.0
        for i in range(m):
            total += C[r, i] * z[at + i]
            size += abs(C[r, i]) * abs(z[at + i])
            off += abs(C[r, i]) * error[at + i]
        off = (off + relative(m + 4) * size) * (1.0 + relative(m + 4)) + relative(4) * (size + abs(constants[r]))
        total += constants[r]
        if total - off < value - unsure:
            value, unsure = total, off
    return value, unsure
