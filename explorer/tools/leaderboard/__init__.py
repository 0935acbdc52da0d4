"""The leaderboard: its command, and the file that answers wait in."""
