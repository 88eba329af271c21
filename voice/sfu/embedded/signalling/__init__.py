"""The LiveKit signalling protocol, on WebSockets."""
