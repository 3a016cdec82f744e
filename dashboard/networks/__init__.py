"""Libvirt networks."""
