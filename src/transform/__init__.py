"""The transform stage: turns each valid record into what is stored, by its processing type."""
