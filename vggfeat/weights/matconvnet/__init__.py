"""MatConvNet's nets in .mat files."""
