"""The built-in model pico: its words, its scenes, questions with known answers, its training."""
