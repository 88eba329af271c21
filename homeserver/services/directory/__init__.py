"""How rooms are found: aliases and the public directory."""
