"""Events made by other servers, on their way into our rooms."""
