"""What is known of vendors and models before any estate is read: YAML data that ships along, and its types."""
