"""The request's path. `path.py` is one page that reads as the list of its steps."""
