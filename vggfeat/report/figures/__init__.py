"""Figures: what is drawn of records, one kind a file; figure.py has what all of them are."""
