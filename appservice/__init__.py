"""Application services: the bridge of company sign-on and roles."""
