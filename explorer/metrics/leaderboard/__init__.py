"""The leaderboard: its table, and what the table says as a figure and in sentences."""
