"""Typed settings and the loader that fills them."""
