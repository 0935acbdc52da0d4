"""What pruning does to answers besides saving time, on one picture: probes, captions, stability."""
