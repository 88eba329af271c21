"""Bytes of files, encrypted at rest."""
