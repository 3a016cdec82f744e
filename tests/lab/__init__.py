"""Real libvirt hosts, guests and Redis for tests: each run has its own, away from those of the machine."""
