"""Models and their versions: found, loaded, watched, unloaded."""
