"""The start page with what needs attention, and the search that jumps to any object."""
