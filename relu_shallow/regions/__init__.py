"""The search for linear regions: charts, the compiled depth-first kernel, exact decisions, and the partition."""
