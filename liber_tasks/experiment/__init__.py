"""Online A/B experiments (paper, section 4.4.2): assignment, metrics, readout, simulation."""
