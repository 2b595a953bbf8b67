"""What the functions have in common: contracts between them, exact JSON, logging."""
