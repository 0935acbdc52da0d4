"""The search for failures: its command."""
