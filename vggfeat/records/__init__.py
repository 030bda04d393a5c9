"""What was measured, with what, and the numbers."""
