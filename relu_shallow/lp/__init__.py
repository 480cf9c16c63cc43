"""Linear programming: one question, one answer type, and the general solvers that answer it.

The search's own compiled simplex (`kernel`) keeps a vertex from question to question and so has no row here. SciPy and
cvxpy are imported when a question is first asked.
"""

from __future__ import annotations

from types import MappingProxyType

from relu_shallow.lp import cvxpy_backend, highs

BACKENDS = MappingProxyType({"highs": highs.maximise, "cvxpy": cvxpy_backend.maximise})
