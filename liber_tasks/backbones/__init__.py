"""CTR backbones, one file each, layers shared. Import torch only."""
