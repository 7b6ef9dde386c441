"""The command `trunkline`: one module per command group, loaded when it is called."""
