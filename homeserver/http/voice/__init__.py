"""Calls at the edge: signalling, token service, the page that hosts a call."""
