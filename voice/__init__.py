"""Calls: MatrixRTC tokens, rosters and the forwarding unit."""
