"""Messages from device to device."""
