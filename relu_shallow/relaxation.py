"""Sound linear bounds of every pre-activation and output over a box, by relaxations backwards through the layers."""
