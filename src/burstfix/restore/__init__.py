"""A task from files to a file: read, align, match exposure, run a backend, write."""
