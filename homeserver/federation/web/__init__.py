"""Pages of the web, looked at for our users."""
