"""kvmweb, by room: one small Django app for each noun of the field."""
