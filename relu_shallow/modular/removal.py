"""The certificate of removal: how far taking weights away can move a network's outputs, at points.

Each matrix is W = B + E, with B kept and E removed; z, h are the given network's pre-activations and gate outputs, z~,
h~ those without E. Then z~_l - z_l = B_l (h~_{l-1} - h_{l-1}) - E_l h_{l-1}, so with |z~_l - z_l| <= delta_l and
|h~_l - h_l| <= d_l

    d_0 = 0,   delta_l = |B_l| d_{l-1} + |E_l h_{l-1}(x)|,   d_l = s_l delta_l,   |f~ - f| <= delta_{L+1}

where s is a gate's steeper slope (for ReLU s = 1 and the recursion is d_l = |B_l| d_{l-1} + |E_l h_{l-1}(x)|). Where
z_l is far from 0, d_l is smaller: an inactive ReLU passes on only what delta_l has beyond |z_l|; `plain` leaves this
out.

Rounding. The bounds hold in exact arithmetic on the stored weights. A computed h is within eta of the exact one
(`precision.preactivation_errors`, through the gate), so |E h| <= |fl(E h)| + |E| eta + gamma(n + 2) |E| (|h| + eta);
sums of non-negative terms are enlarged by gamma of their number of roundings, and by TINY for what underflows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.errors import ModelError
from relu_shallow.network import Gate, Matrix, Network, evaluate, preactivations
from relu_shallow.precision import TINY, UNIT, gamma, preactivation_errors


@dataclass(frozen=True, eq=False)
class Removal:
    """What a removal does to rows: `bound` >= |f~ - f| is proved, `change` is computed.

    A bound that is tight may be less than the change as computed, which is rounded, but not than the true one.
    A prediction is the class of the largest output (of a single output, its sign). `proved` says of which rows it is
    proved not to change, `changed` of which it does, as computed.
    """

    bound: Float[np.ndarray, "rows outputs"]
    change: Float[np.ndarray, "rows outputs"]
    proved: Bool[np.ndarray, " rows"]
    changed: Bool[np.ndarray, " rows"]

    @property
    def share_proved(self) -> float:
        """The share of rows whose class is proved unchanged."""
        return float(self.proved.mean())

    @property
    def share_changed(self) -> float:
        """The share of rows whose class changes."""
        return float(self.changed.mean())


def removal(
    before: Network, after: Network, X: Float[np.ndarray, "rows inputs"], *, plain: bool = False
) -> Removal:
    """The certificate for rows X; `after` is `before` with weights made zero, ModelError where it is not."""
    removed = removed_weights(before, after)
    d = _hidden_change(before, after, removed, X, plain)
    E, last = removed[-1], after.affine[-1].W
    h, eta = _last_hidden(before, X)
    bound = _carried(last, d) + _image(E, h, eta)
    one, other = evaluate(before, X), evaluate(after, X)
    if before.outputs == 1:
        unsure = preactivation_errors(before, X)[-1]
        proved = np.abs(one[:, 0]) > (bound + unsure)[:, 0] * (1 + gamma(4))
        changed = (one[:, 0] > 0) != (other[:, 0] > 0)
    else:
        proved = _margins_hold(before, last, E, X, d, h, eta)
        changed = one.argmax(axis=1) != other.argmax(axis=1)
    return Removal(bound, np.abs(other - one), proved, changed)


def removed_weights(before: Network, after: Network) -> list[Matrix]:
    """E of every layer; raises ModelError unless `after` is `before` with some weights made zero."""
    if before.widths != after.widths or before.inputs != after.inputs or before.outputs != after.outputs:
        raise ModelError(f"{after} has not the layers of {before}; give the network before and after the removal")
    found = []
    for index, (one, other) in enumerate(zip(before.affine, after.affine, strict=True), start=1):
        E = _difference(one.W, other.W)
        if not np.array_equal(one.b, other.b) or not _is_part(other.W, E):
            raise ModelError(f"layer {index} differs in more than weights made zero: the certificate is of a removal, "
                             "not of training after it")  # fmt: skip
        found.append(E)
    for index, (gate, same) in enumerate(zip(before.gates, after.gates, strict=True), start=1):
        if not (np.array_equal(gate.active, same.active) and np.array_equal(gate.inactive, same.inactive)):
            raise ModelError(f"the gates of layer {index} differ; give the network before and after the removal")
    return found


def spectral_bound(W: Float[np.ndarray, "out in"]) -> float:
    """An upper bound of ||W||_2, proved in spite of rounding.

    From computed factors W = U S V^T + R: ||W||_2 <= ||U||_2 s_1 ||V||_2 + ||R||_F, where ||U||_2^2 <= 1 +
    ||U^T U - I||_F for any U; products of n terms are off by gamma(n + 2) of their magnitudes.
    """
    U, s, Vt = np.linalg.svd(W, full_matrices=False)
    n = max(W.shape)
    size = _frobenius(np.abs(W) + (np.abs(U) * s) @ np.abs(Vt))
    rest = _frobenius(W - (U * s) @ Vt) + gamma(3 * n + 9) * size
    skew = [np.sqrt(1 + _frobenius(Q.T @ Q - np.eye(len(s))) + gamma(n + 9) * (np.square(Q).sum() + n))
            for Q in (U, Vt.T)]  # fmt: skip
    return float((skew[0] * s.max() * skew[1] + rest) * (1 + gamma(n + 16)) + TINY)


def clusterability_bound(
    before: Network, after: Network, X: Float[np.ndarray, "rows inputs"]
) -> Float[np.ndarray, " rows"]:
    """||f~ - f||_2 <= ||W_3||_2 s_2 ||W_2||_F sqrt(1 - C) ||h_1(x)||_2 for a network of two hidden layers.

    ||W_2||_F sqrt(1 - C) is ||E_2||_F, whatever the clusters; s_2 is the steepest slope of the second layer's gates.
    Raises ModelError for another depth, or where weights of the first or last layer were removed.
    """
    removed = removed_weights(before, after)
    if len(before.gates) != 2 or _any(removed[0]) or _any(removed[2]):
        raise ModelError("the bound by clusterability is of two hidden layers, of whose middle matrix alone weights "
                         f"were removed; this network has {len(before.gates)}. Use `removal` instead")  # fmt: skip
    E, last = _dense(removed[1]), _dense(before.affine[2].W)
    z = preactivations(before, X)[0]
    h, eta = _through(before.gates[0], z, preactivation_errors(before, X)[0])
    n = E.size + h.shape[1]
    size = np.sqrt(np.square(np.abs(h) + eta).sum(axis=1) + TINY)
    steep = float(_steepest(before.gates[1]).max())
    return spectral_bound(last) * steep * _frobenius(E) * size * (1 + gamma(n + 16)) + TINY


def _hidden_change(
    before: Network, after: Network, removed: list[Matrix], X: np.ndarray, plain: bool
) -> Float[np.ndarray, "rows neurons"]:
    """d_L: bounds on how far the last hidden layer's gates move."""
    z, errors = preactivations(before, X), preactivation_errors(before, X)
    h, eta = np.asarray(X, dtype=np.float64), np.zeros(X.shape)
    d = np.zeros(X.shape)
    for index, gate in enumerate(before.gates):
        B = after.affine[index].W
        delta = _carried(B, d) + _image(removed[index], h, eta)
        d = _gate_change(gate, z[index], errors[index], delta, plain)
        h, eta = _through(gate, z[index], errors[index])
    return d


def _last_hidden(network: Network, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(values, their rounding errors) that come into the last layer."""
    if not network.gates:
        return np.asarray(X, dtype=np.float64), np.zeros(X.shape)
    return _through(network.gates[-1], preactivations(network, X)[-2], preactivation_errors(network, X)[-2])


def _through(gate: Gate, z: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(h, eta) of a layer: a gate is Lipschitz with its steeper slope, and its product is rounded."""
    h = z * np.where(z > 0, gate.active, gate.inactive)
    return h, (error * _steepest(gate) + UNIT * np.abs(h)) * (1 + gamma(4)) + TINY * (error > 0)


def _gate_change(gate: Gate, z: np.ndarray, error: np.ndarray, delta: np.ndarray, plain: bool) -> np.ndarray:
    """d >= |gate(z~) - gate(z)| where z is within `error` of the computed one and |z~ - z| <= delta.

    With p the slope on z's own side, q the other and |z| >= m: z~ on z's side gives |p| delta at most, across 0
    |q| (delta - |z|) + |p| |z|, which is largest at |z| = m unless |p| delta is more. z of unknown sign has m = 0.
    """
    if plain:
        return _steepest(gate) * delta * (1 + gamma(2))
    p = np.abs(np.where(z > 0, gate.active, gate.inactive))
    q = np.abs(np.where(z > 0, gate.inactive, gate.active))
    m = np.minimum(np.maximum(np.abs(z) - error, 0.0) * (1 - gamma(2)), delta)
    across = np.where(m > 0, q * (delta - m) + p * m, np.maximum(p, q) * delta)
    return np.maximum(p * delta, across) * (1 + gamma(6))


def _image(E: Matrix, h: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """An upper bound of |E h| for the exact h, within eta of the computed one; 0 where a row removes nothing."""
    n = E.shape[1]
    size = _abs_times(E, np.abs(h) + eta)
    bound = np.abs((E @ h.T).T) + _abs_times(E, eta) + gamma(2 * n + 8) * size
    return bound * (1 + gamma(n + 8)) + TINY * _rows_with_weights(E)


def _margins_hold(
    before: Network, last: Matrix, E: Matrix, X: np.ndarray, d: np.ndarray, h: np.ndarray, eta: np.ndarray
) -> Bool[np.ndarray, " rows"]:
    """Where every margin f_c - f_k of the class c exceeds |w_c - w_k| d + |(e_c - e_k) h|."""
    outputs, errors = evaluate(before, X), preactivation_errors(before, X)[-1]
    classes, W, E = outputs.argmax(axis=1), _dense(last), _dense(E)
    proved = np.zeros(len(X), dtype=bool)
    for c in np.unique(classes):
        mine = classes == c
        others = np.arange(before.outputs) != c
        apart = np.abs(W[c] - W[others]) * (1 + gamma(2))
        bound = _carried(apart, d[mine])
        if E.any():
            bound += _image(E[others], h[mine], eta[mine]) + _image(E[[c]], h[mine], eta[mine])
        margin = outputs[mine][:, [c]] - outputs[mine][:, others]
        unsure = errors[mine][:, [c]] + errors[mine][:, others] + UNIT * np.abs(margin)
        proved[mine] = (margin > (bound + unsure) * (1 + gamma(4))).all(axis=1)
    return proved


def _carried(B: Matrix, d: np.ndarray) -> np.ndarray:
    """An upper bound of |B| d for rows d >= 0, exactly 0 where a row is."""
    return _abs_times(B, d) * (1 + gamma(B.shape[1] + 8)) + TINY * d.any(axis=1, keepdims=True)


def _abs_times(W: Matrix, values: np.ndarray) -> np.ndarray:
    """|W| v for rows of values."""
    return np.asarray((abs(W) @ values.T).T)


def _rows_with_weights(E: Matrix) -> np.ndarray:
    return np.asarray(abs(E).sum(axis=1)).ravel() > 0


def _steepest(gate: Gate) -> np.ndarray:
    return np.maximum(np.abs(gate.active), np.abs(gate.inactive))


def _difference(one: Matrix, other: Matrix) -> Matrix:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one - other
    from scipy.sparse import csr_array

    return csr_array(csr_array(one) - csr_array(other))


def _is_part(B: Matrix, E: Matrix) -> bool:
    """Whether every removed weight was removed whole: where E is not 0, B is."""
    if isinstance(B, np.ndarray) and isinstance(E, np.ndarray):
        return not ((B != 0) & (E != 0)).any()
    from scipy.sparse import csr_array

    return not (csr_array(B) != 0).multiply(csr_array(E) != 0).count_nonzero()


def _dense(W: Matrix) -> np.ndarray:
    return W if isinstance(W, np.ndarray) else W.toarray()


def _any(E: Matrix) -> bool:
    return bool(_rows_with_weights(E).any())


def _frobenius(W: np.ndarray) -> float:
    """An upper bound of the Frobenius norm of the matrix as stored; 0 of zeros."""
    if not W.any():
        return 0.0
    return float(np.sqrt(np.square(W).sum() * (1 + gamma(W.size + 4)) + TINY) * (1 + gamma(4)))
