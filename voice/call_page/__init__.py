"""An optional page that opens a call in a browser, for guests with a link and people without a client."""
