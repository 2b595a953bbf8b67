"""A web page over the same library as the command line, served on this machine to its user."""
