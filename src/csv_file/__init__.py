"""The csv_file function: rows of CSV and JSON Lines files, range by range, in flat memory."""
