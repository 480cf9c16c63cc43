"""The shallow network of the paper itself: three hidden ReLU layers whose weights may be infinite.

With J distinct unsigned rows t_j = H_j.x + c_j, R regions, and the convention 0 * inf = 0:

    layer 1   p_j = relu(t_j);   x+ = relu(x);   x- = relu(-x)
    layer 2   u_j = relu(inf * p_j)                 inf where t_j > 0, else 0
              q_j = relu(1 - inf * p_j)             1 where t_j <= 0, else 0;   x+ and x- pass
    layer 3   relu(+-(alpha_w.(x+ - x-) + beta_w) - sum_{j inactive in w} u_j - inf * sum_{j active in w} q_j)
    output    sum over regions w of (plus unit - minus unit)

For region w, j runs over the rows on w's path in the trie. Layer 2 is there for strictness: a point on a row t_j = 0 is
on the inactive side only, and each t_j is computed once for all regions, so that under any rounding exactly one region
has no penalty. All penalties have one sign, so inf - inf never occurs; 0 * inf, which is NaN in IEEE arithmetic, is
avoided by selecting instead of multiplying.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from relu_shallow.domain import describe
from relu_shallow.errors import OutputError
from relu_shallow.shallow.table import ShallowNetwork

CHUNK = 1 << 24  # numbers held at once in layer 3's sums; larger batches are cut


class LiteralNetwork(torch.nn.Module):
    """The three-hidden-layer network over the extended reals that equals a complete shallow network on its domain.

    Outside the domain it was converted on its values mean nothing. Raises OutputError for a partial list of regions:
    the literal form would return 0 where a region is missing. Several tables stand side by side in the same layers.
    """

    H: Tensor
    c: Tensor
    alpha: Tensor
    beta: Tensor
    parent: Tensor
    row: Tensor
    active: Tensor
    leaf: Tensor

    def __init__(self, shallow: ShallowNetwork) -> None:
        super().__init__()
        if not shallow.completeness.complete:
            raise OutputError(
                "the literal network needs all regions, but this list is partial and it would return 0 in a missing "
                "region; convert without a limit, or on a smaller domain"
            )
        self.domain = shallow.domain
        for name in ("H", "c", "alpha", "beta"):
            parts = np.concatenate([getattr(table, name) for table in shallow.tables])
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(parts, dtype=np.float64)))
        self._levels, entries = _levels(shallow)
        for name, part in zip(("parent", "row", "active", "leaf"), entries, strict=True):
            self.register_buffer(name, torch.from_numpy(part))

    @property
    def widths(self) -> tuple[int, int, int]:
        """Neurons in the three hidden layers: J + 2n, 2J + 2n, 2 m R."""
        rows, inputs = self.H.shape
        regions, outputs = self.beta.shape
        return rows + 2 * inputs, 2 * rows + 2 * inputs, 2 * outputs * regions

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The network's outputs before the head at each row of x."""
        points = x.to(self.H.dtype).reshape(-1, x.shape[-1])
        whole = torch.compiler.is_compiling()  # an exported graph has no loop over a batch of unknown size
        size = max(1, CHUNK // (len(self.row) + 4 * self.beta.numel() + 1))
        pieces = [points] if whole else points.split(size)
        outputs = torch.cat([self._outputs(self._layer3(self._layer2(self._layer1(piece)))) for piece in pieces])
        return outputs.reshape(*x.shape[:-1], self.beta.shape[1])

    def hidden(self, x: Float[Tensor, "rows inputs"]) -> tuple[Tensor, Tensor, Tensor]:
        """The three hidden layers at each row of x, infinite values included, as (rows, width) each.

        The units are ordered (p, x+, x-), (u, q, x+, x-) and, in layer 3, by region, then output, then sign.
        """
        first = self._layer1(x.to(self.H.dtype))
        second = self._layer2(first)
        return first.T, second.T, self._layer3(second).flatten(0, 2).T

    def extra_repr(self) -> str:
        """The widths, and the domain outside which the values mean nothing."""
        return f"widths={self.widths}, domain={describe(self.domain)}"

    # Inside, points are columns: a row of a layer is one neuron at all points.

    def _layer1(self, x: Tensor) -> Tensor:
        t = self.H @ x.T + self.c[:, None]
        return torch.relu(torch.cat([t, x.T, -x.T]))

    def _layer2(self, first: Tensor) -> Tensor:
        rows = len(self.c)
        p, passed = first[:rows], first[rows:]
        infinite = _times_infinity(p)
        return torch.cat([torch.relu(infinite), torch.relu(1 - infinite), passed])

    def _layer3(self, second: Tensor) -> Tensor:
        """(regions, outputs, signs, points)."""
        rows, inputs = self.H.shape
        regions, outputs = self.beta.shape
        u, q = second[:rows], second[rows : 2 * rows]
        x = second[2 * rows : 2 * rows + inputs] - second[2 * rows + inputs :]
        penalty = self._penalties(u, _times_infinity(q))[:, None, None, :]
        values = (self.alpha.flatten(0, 1) @ x + self.beta.flatten()[:, None]).unflatten(0, (regions, outputs))
        signed = torch.stack([values, -values], dim=2)
        return torch.relu(torch.where(penalty > 0, -penalty, signed))  # signed - penalty, whatever signed overflows to

    def _penalties(self, inactive: Tensor, active: Tensor) -> Tensor:
        """Each region's sum of penalties along its path; sums of regions that share a beginning share its sum."""
        sums = [active.new_zeros((self._levels[0], active.shape[1]))]
        start = 0
        for size in self._levels[1:]:
            edges = slice(start, start + size)
            row = self.row[edges]
            step = torch.where(self.active[edges, None], active[row], inactive[row])
            sums.append(sums[-1][self.parent[edges]] + step)
            start += size
        return torch.cat(sums)[self.leaf]

    def _outputs(self, third: Tensor) -> Tensor:
        return (third[:, :, 0] - third[:, :, 1]).sum(0).T


def _times_infinity(nonnegative: Tensor) -> Tensor:
    """Inf * value with 0 * inf = 0."""
    return torch.where(nonnegative > 0, torch.inf, torch.zeros_like(nonnegative))


def _levels(shallow: ShallowNetwork) -> tuple[list[int], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Layer 3's infinite weights as the tries' edges, level by level from the roots.

    (entries of each level; per edge the parent's place in the level above, the row and whether it is the row's active
    side; each region's place among the entries of all levels).
    """
    trie_row, trie_child, codes = _joined(shallow)
    sizes, parents, rows, active = [len(codes)], [], [], []
    leaf = np.empty(sum(table.regions for table in shallow.tables), dtype=np.int64)
    before = 0
    while len(codes):
        ends = codes < 0
        leaf[-codes[ends] - 1] = before + np.flatnonzero(ends)
        before += len(codes)
        inner = np.flatnonzero(~ends)
        parents.append(np.repeat(inner, 2))
        rows.append(np.repeat(trie_row[codes[inner]], 2))
        active.append(np.tile([False, True], len(inner)))
        codes = trie_child[codes[inner]].ravel()
        if len(codes):
            sizes.append(len(codes))
    return sizes, (np.concatenate(parents), np.concatenate(rows), np.concatenate(active), leaf)


def _joined(shallow: ShallowNetwork) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, child, roots) of all tables' tries, with nodes, regions and rows numbered through."""
    rows, children, roots = [], [], []
    nodes = regions = stored = 0
    for table in shallow.tables:
        shifted = [np.where(code >= 0, code + nodes, code - regions) for code in (table.trie.child, table.trie.root)]
        children.append(shifted[0])
        roots.append(int(shifted[1]))
        rows.append(table.trie.row + stored)
        nodes += len(table.trie.row)
        regions += table.regions
        stored += len(table.c)
    return np.concatenate(rows), np.concatenate(children), np.array(roots, dtype=np.int64)
