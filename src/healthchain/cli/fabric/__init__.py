"""`healthchain fabric`."""
