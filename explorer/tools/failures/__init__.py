"""The search for failures: its command, and how it is split over machines."""
