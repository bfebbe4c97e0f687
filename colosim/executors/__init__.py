"""Many tasks, in batches, wherever they run: in this process, in others, on a Dask cluster."""
