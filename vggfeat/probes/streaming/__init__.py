"""Probes fitted to more vectors than memory holds: they come from disk, block by block."""
