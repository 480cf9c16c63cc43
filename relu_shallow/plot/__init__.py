"""Pictures: of explanations, drawn by shap with matplotlib, and of linear regions, from exact polygons."""
