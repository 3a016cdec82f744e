"""Faults on purpose, the whole product on a real libvirt, and what must hold afterwards."""
