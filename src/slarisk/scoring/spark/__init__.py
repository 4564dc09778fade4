"""The Spark engine: the same rows, numbers and rejected rows as the local one, by many machines."""
