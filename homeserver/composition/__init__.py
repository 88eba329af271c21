"""How the parts are put together: one module a group of services. Called from homeserver/app.py, in order."""
