"""Metrics, baselines, intervals, checks and plots: how good the decisions are."""
