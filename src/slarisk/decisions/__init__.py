"""Costs, thresholds and decision policies: numpy only."""
