"""Files that are nets: ONNX, TorchScript and torch.export."""
