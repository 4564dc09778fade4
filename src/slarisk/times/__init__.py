"""Dates, durations, time zones, and the clock of an SLA."""
