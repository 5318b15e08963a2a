"""The server process: options, start and stop."""
