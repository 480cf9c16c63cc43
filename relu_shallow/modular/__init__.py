"""Training for modularity: clusters of hidden neurons, the removal of what joins them, and the measures of both.

`making.py` makes a given network modular and trains modular ones; `removal.py` proves what a removal changes;
`clustering.py`, `bipartite.py`, `measures.py`, `ablation.py` and `circuits.py` hold the published measures, repaired.
What a modular network is good for (one table per module) is relu_shallow/modules.py and `convert --modular`.
"""
