"""Runs and the registry: what goes to MLflow, and what comes back."""
