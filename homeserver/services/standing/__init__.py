"""Whether an account may be used: locked, suspended, expired."""
