"""Caffe's .caffemodel files and prototxts."""
