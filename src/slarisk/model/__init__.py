"""What is registered, and all that travels with it."""
