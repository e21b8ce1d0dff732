"""The same clips through this program's sender and through what a user would take instead."""
