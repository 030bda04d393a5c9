"""How labelled pictures lie on disk."""
