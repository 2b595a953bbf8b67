"""How things look in a terminal, and when they are piped."""
