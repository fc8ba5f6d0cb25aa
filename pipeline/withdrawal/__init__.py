"""Withdrawal: removing posts, authors and pictures from everything that is kept, and proving that they are gone."""
