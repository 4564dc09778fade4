"""Features, splits, models, cross-fitting: from labelled tickets to breach probabilities."""
