"""The commands as stories, one screen each: train, promote, score, analyze, repeat."""
