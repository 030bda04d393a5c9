"""Kinds of vectors that a net gives for a picture and a scale."""
