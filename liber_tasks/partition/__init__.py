"""User behaviour streaming partition (paper, section 3.2): cache -> immutable partitions."""
