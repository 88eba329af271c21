"""The native desktop client."""
