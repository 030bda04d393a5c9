"""Networks behind one face: pictures in, a map of descriptors or of class scores out."""
