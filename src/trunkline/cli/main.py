def run() -> None:
    """Run the command `trunkline`."""
