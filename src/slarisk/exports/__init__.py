"""Rows of an export, from files of any kind, as text."""
