"""Tickets, the websockify gateway, serial streams."""
