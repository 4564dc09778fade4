"""The analysis report: its figures, its sentences and its page."""
