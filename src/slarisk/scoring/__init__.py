"""The model as it is registered, and the export it writes."""
