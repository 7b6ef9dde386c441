"""What must hold of an estate as a whole: one step per kind of thing, each adding every fault it finds."""
