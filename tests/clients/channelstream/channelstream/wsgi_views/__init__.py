"""What the tests call."""
