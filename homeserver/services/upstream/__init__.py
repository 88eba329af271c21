"""Sign-in by somebody else: OpenID Connect and CAS."""
