"""Capacity: what a platform of a given size needs and costs. Numbers in, numbers out; a database may be asked."""
