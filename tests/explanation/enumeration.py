"""Interventional Shapley values by evaluating a function at all 2^n hybrids: nothing of the package is used."""

from math import comb

import numpy as np


def values_by_enumeration(f, X, B, weights):
    """phi (rows, outputs, features) of each row of X against the weighted rows B."""
    n = X.shape[1]
    masks = np.arange(1 << n)
    member = (masks[:, None] >> np.arange(n)) & 1 > 0
    size = member.sum(axis=1)
    weights = np.asarray(weights) / np.sum(weights)
    found = []
    for x in X:
        v = sum(w * f(np.where(member, x, b)) for w, b in zip(weights, B, strict=True))
        phi = np.empty((v.shape[1], n))
        for i in range(n):
            without = masks[~member[:, i]]
            share = np.array([1.0 / (n * comb(n - 1, s)) for s in range(n)])[size[without]]
            phi[:, i] = share @ (v[without | 1 << i] - v[without])
        found.append(phi)
    return np.array(found)
