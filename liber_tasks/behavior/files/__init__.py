"""Files as blocks of rows: where they lie, how they are written, what their columns mean."""
