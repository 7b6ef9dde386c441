"""The facts that are declared, as frozen structs, and the stage types of the path."""
