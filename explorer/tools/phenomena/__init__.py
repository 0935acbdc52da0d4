"""What pico shows and does not show of large models: a module per phenomenon, with a rule."""
