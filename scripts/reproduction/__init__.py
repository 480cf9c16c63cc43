"""What scripts/reproduce_modular.py does: the tasks, the ways of training, the figures, the results file, the page."""
