"""How right an answer is, by the rules of the benchmarks that people compare by."""
