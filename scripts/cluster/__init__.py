"""A cluster of processes on this machine, for trials of the engine dask."""
