"""Intervals, bootstrap, association and drift: numbers in, numbers out."""
