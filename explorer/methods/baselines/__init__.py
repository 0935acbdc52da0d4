"""What every method has to beat: chance, an even grid, and averaging."""
