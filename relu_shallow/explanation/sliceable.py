"""A shap.Explanation whose slices keep what is known of their rows; imported only where shap is wanted."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import shap
from slicer import Obj

KNOWN = ("status", "region", "gap", "interaction_values")


class Explanation(shap.Explanation):
    """A shap.Explanation that also carries, through slicing and copying, what is known of each row.

    `status`, `region` and `gap` are of the rows (a gap of each output, too), `interaction_values` of the rows with all
    features and outputs; bounds and standard errors are shap's own lower_bounds, upper_bounds and error_std. What was
    not computed, or is lost because rows were summed up, raises AttributeError. `groups` are the features of each
    column that is a sum.
    """

    groups: dict[str, tuple[str, ...]]

    def keep(self, name: str, value: Any, axes: Sequence[int]) -> None:
        """Lets slices carry a value whose axes are these of `values`; it may have more, which are never sliced."""
        self._s.__setattr__(name, Obj(value, list(axes)))

    def _kept(self, name: str) -> Any:
        found = self._s._objects.get(name)
        if found is None or any(step.collapsed_instances for step in self.op_history):
            raise AttributeError(f"this explanation has no {name!r}")
        return found.o

    @property
    def status(self) -> Any:
        """What each row's values are: exact, bounds, estimate or local."""
        return self._kept("status")

    @property
    def region(self) -> Any:
        """Each row's region."""
        return self._kept("region")

    @property
    def gap(self) -> Any:
        """What the values of each row (and output) lack of the prediction less the base value."""
        return self._kept("gap")

    @property
    def interaction_values(self) -> Any:
        """Each row's exact Shapley interaction values."""
        return self._kept("interaction_values")

    @interaction_values.setter
    def interaction_values(self, found: Any) -> None:
        self.keep("interaction_values", found, [0])

    def __copy__(self) -> Explanation:
        """As shap copies its own, with what is kept beside."""
        plain = shap.Explanation.__copy__(self)
        new = Explanation.__new__(Explanation)
        new.__dict__.update(plain.__dict__)
        new.groups = self.groups
        for name, found in self._s._objects.items():
            if name in KNOWN:
                new.keep(name, copy.copy(found.o), found.dim)
        return new
