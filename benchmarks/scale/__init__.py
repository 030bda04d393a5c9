"""Extraction at scale: generated tar shards, processes that are killed, memory over time, plots."""
