"""Scoring an export of any size: reading, score cache, capacity, writing."""
