"""Numbers about answers, costs and agreement: arrays in, numbers out."""
