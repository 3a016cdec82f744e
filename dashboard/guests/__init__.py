"""Virtual machines: list, power, details, create."""
