"""The behaviour stream: files are checked, bad rows quarantined, good ones appended once."""
