"""The OAuth 2.0 API: clients sign people in by way of our own pages."""
