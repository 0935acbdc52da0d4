"""What pico is trained and asked on: synthetic scenes, questions and their answers."""
