"""Rows of a load on their way into the tables: codes for ids, order, COPY."""
