"""Cases that travel: one file, one report, and what recomputing gives."""
