"""What differences between measured numbers say: intervals and tests."""
