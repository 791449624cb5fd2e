"""What an account holds: one file a kind of resource, with the actions on it."""
