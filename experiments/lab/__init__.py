"""Run the studies of the lab notebook: ``python experiments/run.py <name>``."""
