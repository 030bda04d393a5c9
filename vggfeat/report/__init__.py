"""Records as tables beside the published numbers."""
