"""Which cached keys a decoding step reads, by which method, and what comes of that."""
