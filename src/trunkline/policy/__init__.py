"""What may go where: the estate compiled into decisions, and the step that looks them up."""
