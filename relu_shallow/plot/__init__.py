"""Pictures of explanations, drawn by shap with matplotlib."""
