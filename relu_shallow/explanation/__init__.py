"""Explanations: values that add up, each row saying whether they are exact, bounded, estimated or local."""

from relu_shallow.explanation.attribution import Attribution, max_additivity_gap, shap_explanation, status_counts
from relu_shallow.explanation.background import Background, shrink
from relu_shallow.explanation.by_module import explain_by_module, module_table
from relu_shallow.explanation.methods import explain, explain_rows
from relu_shallow.explanation.table import FORMATS, attribution_table, interaction_table, write_attribution
from relu_shallow.explanation.work import METHODS

__all__ = [
    "FORMATS",
    "METHODS",
    "Attribution",
    "Background",
    "attribution_table",
    "explain",
    "explain_by_module",
    "explain_rows",
    "interaction_table",
    "max_additivity_gap",
    "module_table",
    "shap_explanation",
    "shrink",
    "status_counts",
    "write_attribution",
]
