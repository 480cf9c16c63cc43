"""Pre-activations as affine functions of the input, kept up to date along a sorted list of patterns: compiled."""

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT


@njit(**JIT)
def update_maps(Z, flags, net, packed, everything):
    """Brings Z (n + 1, N) and flags to the pattern packed in `packed`; layers below the first change stay as they are.

    `net` is the network's `Weights` (regions/weights.py). Z holds [G_l g_l]^T side by side; layer 1 is there already.
    Z_l = W_l D_{l-1} Z_{l-1} + [0 b_l] (section 2 of arXiv 2306.11827), with slopes in D.
    """
    WT, woff, bias, off, lo, hi, first, target, weight, _ = net
    n = Z.shape[0] - 1
    layers = len(off) - 1
    neurons = off[layers]
    changed = neurons
    for q in range(neurons):
        bit = (packed[q >> 3] >> (7 - (q & 7))) & 1
        if bit != flags[q]:
            flags[q] = bit
            changed = min(changed, q)
    for layer in range(1, layers):
        if changed >= off[layer] and not everything:
            continue
        below, here, stop = off[layer - 1], off[layer], off[layer + 1]
        width = stop - here
        for j in range(width):
            for i in range(n):
                Z[i, here + j] = 0.0
            Z[n, here + j] = bias[here + j]
        for k in range(below, here):
            slope = hi[k] if flags[k] else lo[k]
            if slope != 0.0 and woff[layer] < 0:
                for i in range(n + 1):
                    z = slope * Z[i, k]
                    for t in range(first[k], first[k + 1]):
                        Z[i, here + target[t]] += z * weight[t]
            elif slope != 0.0:
                base = woff[layer] + (k - below) * width
                for i in range(n + 1):
                    z = slope * Z[i, k]
                    for j in range(width):
                        Z[i, here + j] += z * WT[base + j]
