"""End-to-end tests: a real browser against the real processes on a real libvirt."""
