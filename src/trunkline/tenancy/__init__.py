"""Who asks: callers and their keys."""
