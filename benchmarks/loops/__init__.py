"""Other ways to write the loop that trains ML-GCN: what benchmarks/training.py measures ours against."""
