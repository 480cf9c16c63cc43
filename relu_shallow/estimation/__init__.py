"""How many linear regions there are, estimated in seconds, and what a full conversion would cost."""

from relu_shallow.estimation.estimating import estimate
from relu_shallow.estimation.record import Estimate

__all__ = ["Estimate", "estimate"]
