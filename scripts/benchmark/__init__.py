"""What `scripts/bench.py` is made of: cases, systems, one measurement in a process of its own, and the report."""
