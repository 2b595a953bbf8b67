"""The notify function: keeps the catalog up to date, and tells operators what they should know."""
