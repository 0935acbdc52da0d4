"""How pico is trained, stage by stage, and evaluated."""
