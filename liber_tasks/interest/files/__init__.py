"""Learnt texts as a file, and back."""
