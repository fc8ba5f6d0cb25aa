"""The networks: a basic CNN, torchvision backbones, and the label branch of ML-GCN."""
