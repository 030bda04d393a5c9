"""Processes that work together: where each stands, how they are started, what they share."""
