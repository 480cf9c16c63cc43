"""The compiled look-up of patterns: a hash table of the listed regions, compared byte by byte where hashes agree."""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT  # flags of the compiler, no code


@njit(**JIT)
def region_hashes(bits, keys):
    """The exclusive or of the keys of each region's active neurons."""
    hashes = np.zeros(len(bits), np.uint64)
    for region in range(len(bits)):
        for q in range(len(keys)):
            if bits[region, q >> 3] >> (7 - (q & 7)) & 1:
                hashes[region] ^= keys[q]
    return hashes


@njit(**JIT)
def hash_table(hashes, size):
    """Open addressing: the number of a region in the first free slot from its hash on, -1 where there is none."""
    slots = np.full(size, -1, np.int64)
    for region in range(len(hashes)):
        at = np.int64(hashes[region] & np.uint64(size - 1))
        while slots[at] >= 0:
            at = (at + 1) & (size - 1)
        slots[at] = region
    return slots


@njit(**JIT)
def is_listed(region, q, bits, keys, hashes, slots):
    """Whether a region's pattern with neuron q flipped is in the list, byte by byte."""
    wanted = hashes[region] ^ keys[q]
    at = np.int64(wanted & np.uint64(len(slots) - 1))
    while slots[at] >= 0:
        other = slots[at]
        if hashes[other] == wanted:
            same = True
            for byte in range(bits.shape[1]):
                here = bits[region, byte]
                if byte == q >> 3:
                    here ^= 128 >> (q & 7)
                if bits[other, byte] != here:
                    same = False
                    break
            if same:
                return True
        at = (at + 1) & (len(slots) - 1)
    return False
