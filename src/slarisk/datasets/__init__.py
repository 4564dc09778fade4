"""The generator of the bundled sample."""
