"""The compiled search for patterns one neuron away from given ones in the sorted files of a list.

Files are in the order of their first patterns, `firsts` and `lasts` (files, bytes); `tops[j]` is the one of the files
0..j whose last pattern is the greatest. Where files overlap, a pattern may be in several.
"""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT  # flags of the compiler, no code


@njit(**JIT)
def compared(bits, region, q, rows, row):
    """-1, 0 or 1: how a region's pattern with neuron q flipped compares with a row of packed patterns."""
    for byte in range(bits.shape[1]):
        here = bits[region, byte]
        if byte == q >> 3:
            here ^= 128 >> (q & 7)
        if here != rows[row, byte]:
            return -1 if here < rows[row, byte] else 1
    return 0


@njit(**JIT)
def flips_by_file(bits, switch, firsts, lasts, tops, starts, codes):
    """Puts the code region * N + q of each flip where the files that may hold it begin: codes[starts[file]:].

    Returns how many flips each file may hold; where `codes` is empty they are only counted.
    """
    neurons = len(switch)
    counts = np.zeros(len(firsts), np.int64)
    for region in range(len(bits)):
        for q in range(neurons):
            if not switch[q]:
                continue
            low, high = 0, len(firsts)  # the files whose first pattern is not beyond this one
            while low < high:
                middle = (low + high) >> 1
                if compared(bits, region, q, firsts, middle) >= 0:
                    low = middle + 1
                else:
                    high = middle
            file = low - 1
            while file >= 0 and compared(bits, region, q, lasts, tops[file]) <= 0:
                if compared(bits, region, q, lasts, file) <= 0:
                    if len(codes):
                        codes[starts[file] + counts[file]] = region * neurons + q
                    counts[file] += 1
                file -= 1
    return counts


@njit(**JIT)
def mark_listed(bits, neurons, codes, rows, marks):
    """Marks the rows of a file that are among the coded flips."""
    for code in codes:
        region, q = code // neurons, code % neurons
        low, high = 0, len(rows)
        while low < high:
            middle = (low + high) >> 1
            if compared(bits, region, q, rows, middle) > 0:
                low = middle + 1
            else:
                high = middle
        if low < len(rows) and compared(bits, region, q, rows, low) == 0:
            marks[low] = 1
