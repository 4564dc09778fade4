"""From any export to labelled tickets."""
