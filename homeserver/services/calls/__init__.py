"""Calls: who may join which, and how he is let in and out of the SFU."""
