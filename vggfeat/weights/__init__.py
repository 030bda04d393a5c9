"""Weights: reading files safely (`checkpoint`) and finding released ones (`released`)."""
