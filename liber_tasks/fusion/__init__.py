"""Attention fuse layer and combination (paper, sections 3.4.2 and 3.4.3). Imports torch only."""
