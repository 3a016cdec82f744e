#!/usr/bin/env python
"""Django's command line for kvmweb."""

import os
import sys

try:
    from django.core.management import execute_from_command_line
except ImportError:
    sys.exit("kvmweb's Python packages are missing: run `make setup`, then .venv/bin/python manage.py …")

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvmweb.settings")
    execute_from_command_line(sys.argv)
