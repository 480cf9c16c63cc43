"""relu-shallow: the linear regions of a trained ReLU network, found, proved and used.

Glossary
--------
neuron                  a hidden unit; *active* at x when its pre-activation z is strictly positive
activation pattern      the 0/1 vector of active neurons
linear region           the closure of the points of one feasible pattern: a full-dimensional polyhedron
cell                    the points of the domain that agree on a prefix of the pattern
half-space, row         sign * (h.x + c) >= 0; (H, c) hold each distinct unsigned row once
alpha, beta             the network is alpha x + beta on a region
witness                 a point inside a region
inscribed radius        the radius of the largest ball inside a region
stable / cut neuron     has one sign on a cell / takes both
domain                  where regions are looked for: the whole space, a box, a polytope
slice                   an affine subspace x = M u + v; on one the network is a function of the few coordinates u
head                    a final softmax, sigmoid or tanh, kept apart; values are before it
background              the rows that stand for "feature absent" in Shapley values
gap                     sum of attributions minus (prediction - mean prediction over the background)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relu_shallow.certify import Verification, verify
    from relu_shallow.conversion import convert, convert_to_folder
    from relu_shallow.covering import Coverage, coverage
    from relu_shallow.domain import Box, Polytope, WholeSpace, ball, bounding_box
    from relu_shallow.errors import ReluShallowError
    from relu_shallow.estimation import Estimate, estimate
    from relu_shallow.explanation import explain
    from relu_shallow.load import load_network
    from relu_shallow.modular.making import make_modular, train_modular
    from relu_shallow.network import Network, from_layers
    from relu_shallow.plot.regions import plot_regions
    from relu_shallow.questions.constraints import Constraints
    from relu_shallow.questions.counterfactual import counterfactual
    from relu_shallow.questions.effects import effects
    from relu_shallow.questions.extremes import extremes
    from relu_shallow.questions.interactions import interactions
    from relu_shallow.questions.monotone import monotone
    from relu_shallow.questions.radius import robust_radii
    from relu_shallow.questions.rules import rules
    from relu_shallow.regions.folder import RegionsFolder
    from relu_shallow.regions.gathering import merge_folders
    from relu_shallow.shallow.literal import LiteralNetwork
    from relu_shallow.shallow.store import load_shallow, save_shallow
    from relu_shallow.shallow.stored import StoredNetwork, open_regions
    from relu_shallow.shallow.table import ShallowNetwork
    from relu_shallow.slices import Subspace, line, plane

__version__ = "0.1.0"

_HOME = {
    "Box": "domain", "Polytope": "domain", "WholeSpace": "domain", "ball": "domain", "bounding_box": "domain",
    "Estimate": "estimation", "LiteralNetwork": "shallow.literal", "Network": "network", "ReluShallowError": "errors",
    "ShallowNetwork": "shallow.table", "Subspace": "slices", "line": "slices", "plane": "slices",
    "Verification": "certify", "convert": "conversion",
    "convert_to_folder": "conversion", "Coverage": "covering", "coverage": "covering",
    "estimate": "estimation", "merge_folders": "regions.gathering",
    "RegionsFolder": "regions.folder",
    "StoredNetwork": "shallow.stored", "open_regions": "shallow.stored",
    "explain": "explanation", "plot_regions": "plot.regions",
    "from_layers": "network", "load_network": "load", "load_shallow": "shallow.store", "save_shallow": "shallow.store",
    "verify": "certify",
    "Constraints": "questions.constraints", "counterfactual": "questions.counterfactual", "rules": "questions.rules",
    "effects": "questions.effects", "extremes": "questions.extremes", "interactions": "questions.interactions",
    "make_modular": "modular.making", "train_modular": "modular.making",
    "monotone": "questions.monotone", "robust_radii": "questions.radius",
}  # fmt: skip

__all__ = [
    "Box",
    "Constraints",
    "Coverage",
    "Estimate",
    "LiteralNetwork",
    "Network",
    "Polytope",
    "RegionsFolder",
    "ReluShallowError",
    "ShallowNetwork",
    "StoredNetwork",
    "Subspace",
    "Verification",
    "WholeSpace",
    "__version__",
    "ball",
    "bounding_box",
    "convert",
    "convert_to_folder",
    "counterfactual",
    "coverage",
    "effects",
    "estimate",
    "explain",
    "extremes",
    "from_layers",
    "interactions",
    "line",
    "load_network",
    "load_shallow",
    "make_modular",
    "merge_folders",
    "monotone",
    "open_regions",
    "plane",
    "plot_regions",
    "robust_radii",
    "rules",
    "save_shallow",
    "train_modular",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Imports a public name from its module on first use, so that `import relu_shallow` stays light."""
    if name in _HOME:
        return getattr(import_module(f"relu_shallow.{_HOME[name]}"), name)
    raise AttributeError(f"module 'relu_shallow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
