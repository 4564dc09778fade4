"""One training run: prepare, fit, evaluate, pack, log."""
