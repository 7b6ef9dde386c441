"""The wire formats callers and deployments speak: one folder each, one line each in the registry."""
