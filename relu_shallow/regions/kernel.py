"""The compiled depth-first search over (layer, neuron): every cell of a subtree, streamed out in batches.

A node of the tree is a cell with a current vertex and basis. Arrays, for n' = d chart coordinates and N neurons:

    Z      (d + 1, N)   pre-activations as affine functions of the chart point y: Z[:d, q] . y + Z[d, q], by the path's
                        pattern; a layer is recomputed, or updated by rank one per neuron that changed, on entering it
    E      (N,)         bound on |Z - exact| over the unit box
    flags  (N,)         the path: bit 0 the neuron is active, bit 1 it was cut; in a node that exact arithmetic made,
                        beyond the path, bit 2 says that the sign of that neuron of the present layer is known
    pre    (N,)         what the presolve of the neuron's layer proved: 1 active, 2 inactive, 0 open
    AT, b, error        the cell's rows (see lp/kernel.py): the ball's, the domain's, one per cut neuron on the path
    frames              the cut nodes whose active child is still to be visited: neuron, rows, vertex, basis, inverse

The inactive child is visited first, so regions leave in the order of their patterns. What rounding leaves undecided is
handed back for exact arithmetic; without certification it is taken as it looks, and errors are estimated, not bounded.
"""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT, LEAN, OPTIMAL, REACHED, climb, refactor, refresh_slack, safe_maximum

DONE, FULL, STOPPED, HALTED = 0, 1, 2, 3
HALT = 3  # in control[0]: stop before the next linear program, not only at the next region
REGIONS, FORWARD_FULL, FORWARD_RANK1, INTERVAL, DUAL, EARLIER, CUT, EXACT, OPEN = 3, 4, 5, 6, 7, 8, 9, 10, 11
COUNTERS = 16
TINY = np.finfo(np.float64).tiny  # more than all that underflow can take from a sum; an error of 0 means exactly zero


@njit(**LEAN)
def forward(layer, WT, woff, bias, off, e, Z, E, slope, used, fresh, version, updates, d, rounding, counters, certify):
    """Z and E of a layer from the layer below under the present slopes: by rank one where few neurons changed."""
    below, here, stop = off[layer - 1], off[layer], off[layer + 1]
    width = stop - here
    start = woff[layer]
    changed = 0
    alive = 0
    for k in range(below, here):
        if slope[k] != 0.0:
            alive += 1
        if slope[k] != used[k]:
            changed += 1
    current = fresh[layer] == version[layer - 1]
    if current and changed == 0:
        return
    rank1 = current and changed < alive and updates[layer] + changed <= 32
    if rank1:
        updates[layer] += changed
        counters[FORWARD_RANK1] += 1
    else:
        updates[layer] = 0
        counters[FORWARD_FULL] += 1
        for c in range(d + 1):
            scale = e[c]
            for j in range(here, stop):
                Z[c, j] = bias[j] * scale
        spread = 0.0
        for c in range(d + 1):
            spread += abs(e[c])
        for j in range(here, stop):
            E[j] = rounding * spread * abs(bias[j]) + TINY if certify and bias[j] != 0.0 else 0.0
    for k in range(below, here):
        factor = slope[k] - used[k] if rank1 else slope[k]
        used[k] = slope[k]
        if factor == 0.0:
            continue
        base = start + (k - below) * width
        size = 0.0
        for c in range(d + 1):
            z = factor * Z[c, k]
            size += abs(z)
            for j in range(width):
                Z[c, here + j] += z * WT[base + j]
        if not certify or (size == 0.0 and E[k] == 0.0):
            continue
        charge = abs(factor) * E[k] + rounding * size + TINY
        for j in range(width):
            weight = abs(WT[base + j])
            E[here + j] += charge * weight + TINY if weight != 0.0 else 0.0
    for j in range(here, stop):
        E[j] *= 1.0 + rounding if certify else 0.0  # the bound's own rounding
    if rank1 or not certify:
        # the partial sums were rounded once more per changed neuron: charge the rows' present size (without
        # certification this estimate is all there is)
        for c in range(d + 1):
            for j in range(here, stop):
                E[j] += rounding * abs(Z[c, j])
    fresh[layer] = version[layer - 1]
    version[layer] += 1


@njit(**LEAN)
def forward_sparse(
    layer, columns, bias, off, e, Z, E, slope, used, fresh, version, updates, d, rounding, counters, certify
):  # fmt: skip
    """The same for a layer whose weights are kept by the neuron of the layer below that they leave."""
    first, target, weight = columns
    below, here, stop = off[layer - 1], off[layer], off[layer + 1]
    changed = 0
    alive = 0
    for k in range(below, here):
        if slope[k] != 0.0:
            alive += 1
        if slope[k] != used[k]:
            changed += 1
    current = fresh[layer] == version[layer - 1]
    if current and changed == 0:
        return
    rank1 = current and changed < alive and updates[layer] + changed <= 32
    if rank1:
        updates[layer] += changed
        counters[FORWARD_RANK1] += 1
    else:
        updates[layer] = 0
        counters[FORWARD_FULL] += 1
        spread = 0.0
        for c in range(d + 1):
            spread += abs(e[c])
            for j in range(here, stop):
                Z[c, j] = bias[j] * e[c]
        for j in range(here, stop):
            E[j] = rounding * spread * abs(bias[j]) + TINY if certify and bias[j] != 0.0 else 0.0
    for k in range(below, here):
        factor = slope[k] - used[k] if rank1 else slope[k]
        used[k] = slope[k]
        if factor == 0.0:
            continue
        size = 0.0
        for c in range(d + 1):
            z = factor * Z[c, k]
            size += abs(z)
            for t in range(first[k], first[k + 1]):
                Z[c, here + target[t]] += z * weight[t]
        if not certify or (size == 0.0 and E[k] == 0.0):
            continue
        charge = abs(factor) * E[k] + rounding * size + TINY
        for t in range(first[k], first[k + 1]):
            E[here + target[t]] += charge * abs(weight[t]) + TINY
    for j in range(here, stop):
        E[j] *= 1.0 + rounding if certify else 0.0
    if rank1 or not certify:
        for c in range(d + 1):
            for j in range(here, stop):
                E[j] += rounding * abs(Z[c, j])
    fresh[layer] = version[layer - 1]
    version[layer] += 1


@njit(**LEAN)
def settle(layer, off, lo, hi, Z, E, pre, boxlo, boxhi, d, relative, middle, spread):
    """Marks the open neurons of a layer whose interval over the box excludes zero; returns how many stay open."""
    here, stop = off[layer], off[layer + 1]
    for j in range(here, stop):
        middle[j] = Z[d, j]
        spread[j] = E[j] + relative * abs(Z[d, j])
    for c in range(d):
        half = 0.5 * (boxhi[layer, c] - boxlo[layer, c])
        mid = 0.5 * (boxhi[layer, c] + boxlo[layer, c])
        grow = half + relative
        for j in range(here, stop):
            middle[j] += Z[c, j] * mid
            spread[j] += abs(Z[c, j]) * grow
    still = 0
    for j in range(here, stop):
        if pre[j] != 0:
            continue
        if lo[j] == hi[j] or middle[j] < -spread[j]:
            pre[j] = 2  # a linear neuron bounds no region and counts as inactive
        elif middle[j] > spread[j]:
            pre[j] = 1
        else:
            still += 1
    return still


@njit(**LEAN)
def add_row(AT, b, error, row, sign, h, constant, doubt, nu, d):
    """Writes sign * (h . y + constant) >= 0 as a row of the cell."""
    for k in range(d):
        AT[k, row] = sign * h[k]
    AT[d, row] = -nu
    b[row] = sign * constant
    error[row] = doubt


@njit(**LEAN)
def unit_row(Z, E, q, d, inverse_scale, h, relative):
    """Fills h with the unit normal of neuron q's row; returns its constant, error, ball coefficient and size.

    A row whose size is 0, to rounding, comes as the zero function with an error as large as it can be.
    """
    squared = 0.0
    total = 0.0
    for c in range(d):
        squared += Z[c, q] * Z[c, q]
        total += abs(Z[c, q])
    size = np.sqrt(squared)
    if size == 0.0:
        for c in range(d):
            h[c] = 0.0
        return 0.0, 2.0 * (E[q] + total + abs(Z[d, q])), 0.0, 0.0
    inverse = 1.0 / size
    nu = 0.0
    reach = 1.0
    for c in range(d):
        h[c] = Z[c, q] * inverse
        reach += abs(h[c])
        nu += (h[c] * inverse_scale[c]) ** 2
    constant = Z[d, q] * inverse
    doubt = E[q] * inverse * (1.0 + relative) + relative * (reach + abs(constant))
    return constant, doubt, np.sqrt(nu), size


@njit(**LEAN)
def witness(AT, b, slack, y, basis, binv, rows, d, big, pricing, edge, denom, ratio, scratch, counters, limits):
    """The centre of the largest ball of the cell, into big.y: a climb in d + 1 dimensions from (vertex, radius 0)."""
    slack2, y2, basis2, binv2, h2 = big
    for i in range(rows):
        slack2[i] = slack[i]
    for k in range(d):
        y2[k] = y[k]
        basis2[k] = basis[k]
        h2[k] = 0.0
        lift = 0.0
        for i in range(d):
            binv2[k, i] = binv[k, i]
            lift -= binv[k, i] * AT[d, basis[i]]
        binv2[k, d] = lift
        binv2[d, k] = 0.0
    binv2[d, d] = 1.0
    h2[d] = 1.0
    y2[d] = 0.0
    basis2[d] = 0
    slack2[0] = 0.0
    return climb(AT, b, slack2, y2, basis2, binv2, rows, d + 1, h2, 0.0, np.inf, pricing, edge, denom, ratio, scratch,
                 counters, limits)  # fmt: skip


@njit(**LEAN)
def fitting_radius(AT, b, point, rows, d):
    """The radius of the largest ball around a point that keeps to every row."""
    radius = np.inf
    for i in range(1, rows):
        if AT[d, i] < 0.0:
            value = b[i]
            for k in range(d):
                value += AT[k, i] * point[k]
            radius = min(radius, value / -AT[d, i])
    return radius


@njit(**LEAN)
def surely_inside(Z, E, flags, lo, hi, AT, b, error, domain_rows, point, neurons, d, relative, middle, spread):
    """Whether the domain's rows and every pre-activation, with the pattern's sign, exceed their error at the point."""
    for i in range(1, domain_rows):
        value = b[i]
        size = abs(b[i])
        for c in range(d):
            value += AT[c, i] * point[c]
            size += abs(AT[c, i] * point[c])
        if not value > error[i] + relative * size:
            return False
    for q in range(neurons):
        middle[q] = Z[d, q]
        spread[q] = E[q] + relative * abs(Z[d, q])
    for c in range(d):
        step = point[c]
        size = abs(step) * relative
        for q in range(neurons):
            middle[q] += Z[c, q] * step
            spread[q] += abs(Z[c, q]) * size
    for q in range(neurons):
        signed = middle[q] if flags[q] & 1 else -middle[q]
        if signed > spread[q] or lo[q] == hi[q]:
            continue
        if spread[q] == 0.0 and middle[q] == 0.0 and not flags[q] & 1:
            continue  # exactly the zero function
        return False
    return True


@njit(**JIT)
def search(
    net, chart, node, out_flags, out_points, out_radii, front_length, front_flags, front_points, front_basis,
    open_length, open_flags, open_basis, control, counters, limits,
):  # fmt: skip
    """Lists the regions below a node until done, the output is full or control[0] is set (looked at after a region;
    HALT is looked at on the way to one, too).

    `net` is the network's `Weights` (regions/weights.py); `chart` = (Z1, E1, e, AT, b, error, inverse scale);
    `node` = (number of decided neurons, flags, vertex, basis). Returns (status, regions, frontier nodes, open nodes):
    the frontier holds what was left, deepest (first in order) first, each node the path in `front_flags` up to a neuron
    that is active instead, but for the first where the status is HALTED: that is the path as it is. The open nodes are
    those whose next neuron (or, with all decided, whose region) rounding leaves undecided, and nothing below them was
    searched.
    """
    WT, woff, bias, off, lo, hi, source, target, weight, twin = net
    columns = (source, target, weight)
    Z1, E1, e, start_AT, start_b, start_error, inverse_scale = chart
    decided, start_flags, start_y, start_basis = node
    relative, side, rounding, skewed = limits[5], limits[6], limits[7], limits[11]
    certify = limits[12] > 0.0
    layers = len(off) - 1
    neurons = off[layers]
    d = len(e) - 1
    first_rows = len(start_b)
    cap = first_rows + neurons + 8  # a whole vector beyond the last row

    AT = np.zeros((4 * ((d + 4) // 4), cap))
    b = np.zeros(cap)
    error = np.zeros(cap)
    slack = np.zeros(cap)
    for i in range(first_rows):
        for c in range(d + 1):
            AT[c, i] = start_AT[c, i]
        b[i] = start_b[i]
        error[i] = start_error[i]
    rows = first_rows
    y = start_y.copy()
    basis = start_basis.copy()
    binv = np.zeros((d, d))
    scratch = np.zeros((d + 1, 2 * d + 2))
    price = np.zeros(d + 1)
    edge = np.zeros(len(AT))
    denom = np.zeros(cap)
    ratio = np.zeros(cap)
    h = np.zeros(d)
    goal = np.zeros(d)
    no_error = np.zeros(cap)
    big = (np.zeros(cap), np.zeros(d + 1), np.zeros(d + 1, np.int64), np.zeros((d + 1, d + 1)), np.zeros(d + 1))

    Z = np.zeros((d + 1, neurons))
    E = np.zeros(neurons)
    for j in range(off[1]):
        for c in range(d + 1):
            Z[c, j] = Z1[c, j]
        E[j] = E1[j]
    flags = np.zeros(neurons, np.uint8)
    pre = np.zeros(neurons, np.uint8)
    slope = np.zeros(neurons)
    used = np.zeros(neurons)
    fresh = np.zeros(layers + 1, np.int64) - 1
    version = np.zeros(layers + 1, np.int64)
    updates = np.zeros(layers + 1, np.int64)
    boxlo = -np.ones((layers + 1, d))
    boxhi = np.ones((layers + 1, d))
    middle = np.zeros(neurons)
    spread = np.zeros(neurons)

    frame_neuron = np.zeros(neurons + 1, np.int64)
    frame_rows = np.zeros(neurons + 1, np.int64)
    frame_y = np.empty((neurons + 1, d))
    frame_basis = np.empty((neurons + 1, d), np.int64)
    frame_binv = np.empty((neurons + 1, d, d))
    depth = 0
    found = 0
    opened = 0
    status = DONE
    home = np.zeros(d, np.int64)
    careful = limits.copy()
    careful[4] = -1.0
    # a proof by LP that neuron q has one sign: the side, the last row it used, and that row's time stamp
    proof_side = np.zeros(neurons, np.int64)
    proof_row = np.zeros(neurons, np.int64)
    proof_stamp = np.zeros(neurons, np.int64)
    row_stamp = np.zeros(cap, np.int64)
    clock = 0

    # replay the path to the node
    layer = 0
    for q in range(decided):
        if q == off[layer + 1]:
            layer += 1
            if woff[layer] < 0:
                forward_sparse(layer, columns, bias, off, e, Z, E, slope, used, fresh, version, updates, d, rounding,
                               counters, certify)  # fmt: skip
            else:
                forward(layer, WT, woff, bias, off, e, Z, E, slope, used, fresh, version, updates, d, rounding,
                        counters, certify)  # fmt: skip
        flags[q] = start_flags[q]
        active = flags[q] & 1
        slope[q] = hi[q] if active else lo[q]
        if flags[q] & 2:
            constant, doubt, nu, size = unit_row(Z, E, q, d, inverse_scale, h, relative)
            add_row(AT, b, error, rows, 1.0 if active else -1.0, h, constant, doubt, nu, d)
            rows += 1
    if not refactor(AT, b, slack, y, basis, binv, rows, d, scratch):
        # a vertex that exact arithmetic found and floats cannot hold: back to exact arithmetic
        open_length[0] = decided
        for t in range(decided):
            open_flags[0, t] = start_flags[t]
        for k in range(d):
            open_basis[0, k] = start_basis[k]
        return DONE, 0, 0, 1
    entering = True
    first = True
    if decided == off[layer + 1] and layer < layers - 1 and decided > 0:
        layer += 1
        if woff[layer] < 0:
            forward_sparse(layer, columns, bias, off, e, Z, E, slope, used, fresh, version, updates, d, rounding,
                           counters, certify)  # fmt: skip
        else:
            forward(layer, WT, woff, bias, off, e, Z, E, slope, used, fresh, version, updates, d, rounding,
                    counters, certify)  # fmt: skip
    q = decided

    while True:
        if entering:
            entering = False
            if layer > 0:
                for c in range(d):
                    boxlo[layer, c] = boxlo[layer - 1, c]
                    boxhi[layer, c] = boxhi[layer - 1, c]
            for t in range(off[layer], off[layer + 1]):
                proof_side[t] = 0
                if first and t >= decided and start_flags[t] & 4:
                    # exact arithmetic told this sign for the node's whole subtree in this layer
                    proof_side[t] = 1 if start_flags[t] & 1 else -1
                    proof_row[t] = 0
                    proof_stamp[t] = 0
            first = False
            for t in range(off[layer], off[layer + 1]):
                pre[t] = 0
            still = settle(layer, off, lo, hi, Z, E, pre, boxlo, boxhi, d, relative, middle, spread)
            if still > limits[8]:
                for k in range(2 * d):
                    if control[0] == HALT:
                        break
                    c = k if k < d else k - d  # one corner first, then the opposite one: neighbours are close
                    sign = 1.0 if k < d else -1.0
                    for t in range(d):
                        h[t] = 0.0
                    h[c] = sign
                    result = climb(AT, b, slack, y, basis, binv, rows, d, h, 0.0, np.inf, price, edge, denom, ratio,
                                   scratch, counters, limits)  # fmt: skip
                    if result == OPTIMAL:
                        bound = y[c] * sign
                        if certify:
                            bound = safe_maximum(AT, b, error, basis, d, h, 0.0, price, relative)
                        if sign > 0.0:
                            boxhi[layer, c] = min(boxhi[layer, c], bound)
                        else:
                            boxlo[layer, c] = max(boxlo[layer, c], -bound)
                settle(layer, off, lo, hi, Z, E, pre, boxlo, boxhi, d, relative, middle, spread)

        if q < off[layer + 1]:
            if pre[q] != 0:
                flags[q] = 1 if pre[q] == 1 else 0
                slope[q] = hi[q] if pre[q] == 1 else lo[q]
                counters[INTERVAL] += 1
                q += 1
                continue
            other = abs(twin[q]) - 1
            known = twin[q] > 0
            if twin[q] < 0:  # opposite signs, unless both are zero all over the cell
                row = proof_row[other]
                proved = proof_side[other] != 0 and 0 < row < rows and row_stamp[row] == proof_stamp[other]
                known = proved or flags[other] & 2 != 0
            if known:
                active = flags[other] & 1 if twin[q] > 0 else 1 - (flags[other] & 1)
                flags[q] = active
                slope[q] = hi[q] if active else lo[q]
                counters[EARLIER] += 1
                q += 1
                continue
            if proof_side[q] != 0 and proof_row[q] < rows and row_stamp[proof_row[q]] == proof_stamp[q]:
                flags[q] = 1 if proof_side[q] > 0 else 0
                slope[q] = hi[q] if proof_side[q] > 0 else lo[q]
                counters[EARLIER] += 1
                q += 1
                continue
            if control[0] == HALT:
                status = HALTED
                break
            undecided, cut = True, False
            seen = 0
            constant, doubt, nu, size = unit_row(Z, E, q, d, inverse_scale, h, relative)
            total = 0.0
            for k in range(d):
                total += abs(Z[k, q])
            if size == 0.0 or total <= E[q]:
                # constant on the cell to within the error, and not clearly of one sign: inactive if exactly zero
                if E[q] == 0.0 and size == 0.0:
                    flags[q] = 0
                    slope[q] = lo[q]
                    q += 1
                    continue
                for k in range(d):
                    home[k] = basis[k]
            else:
                threshold = side * doubt
                value = constant
                for k in range(d):
                    value += h[k] * y[k]
                    home[k] = basis[k]
                if value > threshold:
                    seen = 1
                elif value < -threshold:
                    seen = -1
                kept = False
                trial = limits
                for _ in range(4):
                    # keep the vertex that shows one side; climb towards the other
                    if seen != 0 and not kept:
                        kept = True
                        for k in range(d):
                            frame_y[depth, k] = y[k]
                            frame_basis[depth, k] = basis[k]
                            for t in range(d):
                                frame_binv[depth, k, t] = binv[k, t]
                    side_sign = 1.0 if seen <= 0 else -1.0
                    for k in range(d):
                        goal[k] = side_sign * h[k]
                    result = climb(AT, b, slack, y, basis, binv, rows, d, goal, side_sign * constant, threshold, price,
                                   edge, denom, ratio, scratch, counters, trial)  # fmt: skip
                    if result == REACHED:
                        if seen == 0:
                            seen = 1
                            continue
                        refresh_slack(AT, b, slack, y, rows, d)
                        worst = 0.0
                        for t in range(rows):
                            worst = min(worst, slack[t])
                        if worst > -skewed:
                            cut, undecided = True, False
                            counters[CUT] += 1
                            break
                        cut = not certify  # a vertex that round-off has moved: as it looks
                    elif result == OPTIMAL:
                        if certify:
                            bound = safe_maximum(AT, b, error, basis, d, goal, side_sign * constant, price, relative)
                        else:
                            bound = side_sign * constant
                            for k in range(d):
                                bound += goal[k] * y[k]
                        if bound + doubt < 0.0:
                            if seen == 0:
                                seen = -1
                            # the proof holds wherever its rows do: remember the last of them and when it was written
                            highest = 0
                            for k in range(d):
                                if price[k] < 0.0:
                                    highest = max(highest, basis[k])
                            proof_row[q] = highest
                            proof_stamp[q] = row_stamp[highest]
                            proof_side[q] = seen
                            undecided = False
                            counters[DUAL] += 1
                            break
                    # once more from where the neuron was met, by another path: Bland's rule
                    if trial is careful:
                        break
                    trial = careful
                    for k in range(d):
                        basis[k] = home[k]
                    if not refactor(AT, b, slack, y, basis, binv, rows, d, scratch):
                        break
            if undecided and not certify:
                counters[OPEN] += 1
                undecided = False
            if undecided:
                # for exact arithmetic: hand the node back and leave its subtree
                open_length[opened] = q
                for t in range(q):
                    open_flags[opened, t] = flags[t]
                for k in range(d):
                    open_basis[opened, k] = home[k]
                opened += 1
            elif not cut:
                flags[q] = 1 if seen > 0 else 0
                slope[q] = hi[q] if seen > 0 else lo[q]
                q += 1
                continue
            else:
                if seen < 0:
                    # the frame keeps the active child's vertex, the search goes on from the inactive one's
                    for k in range(d):
                        y[k], frame_y[depth, k] = frame_y[depth, k], y[k]
                        basis[k], frame_basis[depth, k] = frame_basis[depth, k], basis[k]
                        for t in range(d):
                            binv[k, t], frame_binv[depth, k, t] = frame_binv[depth, k, t], binv[k, t]
                add_row(AT, b, error, rows, -1.0, h, constant, doubt, nu, d)
                frame_neuron[depth] = q
                frame_rows[depth] = rows
                depth += 1
                clock += 1
                row_stamp[rows] = clock
                rows += 1
                if seen < 0:
                    refresh_slack(AT, b, slack, y, rows, d)
                else:
                    value = -constant
                    for k in range(d):
                        value -= h[k] * y[k]
                    slack[rows - 1] = value
                flags[q] = 2
                slope[q] = lo[q]
                q += 1
                continue

        elif layer < layers - 1:
            layer += 1
            if woff[layer] < 0:
                forward_sparse(layer, columns, bias, off, e, Z, E, slope, used, fresh, version, updates, d, rounding,
                               counters, certify)  # fmt: skip
            else:
                forward(layer, WT, woff, bias, off, e, Z, E, slope, used, fresh, version, updates, d, rounding,
                        counters, certify)  # fmt: skip
            entering = True
            continue

        else:
            # a leaf: a region if its ball's centre proves it
            for k in range(d):
                home[k] = basis[k]
            trial = limits
            while True:
                result = witness(AT, b, slack, y, basis, binv, rows, d, big, price, edge, denom, ratio, scratch,
                                 counters, trial)  # fmt: skip
                radius = fitting_radius(AT, b, big[1], rows, d)
                largest = safe_maximum(AT, b, no_error, big[2], d + 1, big[4], 0.0, price, relative)
                if trial is careful or (result == OPTIMAL and largest - radius <= skewed):
                    break
                # round-off piled up on the way, in the vertex or in the inverse that calls it best: once more with a
                # fresh inverse, by another path
                trial = careful
                refactor(AT, b, slack, y, basis, binv, rows, d, scratch)
            inside = surely_inside(Z, E, flags, lo, hi, AT, b, error, first_rows, big[1], neurons, d, relative, middle,
                                   spread)  # fmt: skip
            if inside and radius > 0.0:
                for k in range(neurons):
                    out_flags[found, k] = flags[k] & 1
                for k in range(d):
                    out_points[found, k] = big[1][k]
                out_radii[found] = radius
                found += 1
                counters[REGIONS] += 1
            elif not certify:
                counters[OPEN] += 1
            else:
                open_length[opened] = neurons
                for t in range(neurons):
                    open_flags[opened, t] = flags[t]
                for k in range(d):
                    open_basis[opened, k] = home[k]
                opened += 1
        if depth == 0:
            break
        if found == len(out_radii) or opened == len(open_length) or control[0] != 0:
            status = FULL if control[0] == 0 else STOPPED
            break
        depth -= 1
        q = frame_neuron[depth]
        rows = frame_rows[depth]
        for k in range(d):
            y[k] = frame_y[depth, k]
            basis[k] = frame_basis[depth, k]
            for t in range(d):
                binv[k, t] = frame_binv[depth, k, t]
        for c in range(d):
            AT[c, rows] = -AT[c, rows]
        b[rows] = -b[rows]
        clock += 1
        row_stamp[rows] = clock
        rows += 1
        refresh_slack(AT, b, slack, y, rows, d)
        flags[q] = 3
        slope[q] = hi[q]
        while q < off[layer]:
            layer -= 1
        q += 1

    left = 0
    if status != DONE:
        for t in range(neurons):
            front_flags[t] = flags[t]
        if status == HALTED:
            front_length[0] = q
            for t in range(d):
                front_points[0, t] = y[t]
                front_basis[0, t] = basis[t]
            left = 1
        for k in range(depth - 1, -1, -1):
            at = frame_neuron[k]
            front_length[left] = at + 1
            for t in range(d):
                front_points[left, t] = frame_y[k, t]
                front_basis[left, t] = frame_basis[k, t]
            left += 1
    return status, found, left, opened
