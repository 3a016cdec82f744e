"""Enrolled hosts: connect, health, capabilities, overcommit."""
