"""What pruning does to answers besides saving time: hallucination, stability, calibration."""
