"""GET /sync: what is new for one device, put together from streams."""
