"""What each command of the launcher does, one module per command."""
