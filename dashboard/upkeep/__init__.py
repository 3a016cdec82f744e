"""Keeping kvmweb itself well: backup, restore, and what happens when a disk or Redis is full."""
