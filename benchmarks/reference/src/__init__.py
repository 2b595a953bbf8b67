"""The reference's functions, each in a file of its own. None imports another."""
