"""Grids and Optuna searches: many jobs under one parent run."""
