"""Versions of the registered model: selection, gate, promotion, model card."""
