"""LiveKit behind the same interface as our own SFU: for communities that outgrow one machine."""
