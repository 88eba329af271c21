"""Keys of devices: published, asked for, claimed."""
