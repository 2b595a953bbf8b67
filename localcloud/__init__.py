"""AWS on a laptop: the same SAM template, deployed the same way, to local services."""
