"""A device that sleeps on the server and receives keys meanwhile (MSC3814)."""
