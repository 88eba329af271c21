"""OAuth 2.0 as Matrix uses it (client-server API, "OAuth 2.0 API"): what requests say, and which of them are right."""
