"""Probes: classifiers on frozen features, a file for each."""
