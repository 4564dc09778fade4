"""Where and why tickets breach, and what would help: frames and arrays in, dataclasses out."""
