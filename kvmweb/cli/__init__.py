"""kvmweb's command line: a thin client of the API that needs nothing but Python, so that its folder may be copied."""
