"""One module a command group; each command reads its input, calls the library, prints."""
