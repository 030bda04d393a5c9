"""ILSVRC classification and localisation."""
