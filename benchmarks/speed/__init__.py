"""Benchmarks of speed: the toolkit beside peers that do the same, and the machine's limits."""
