"""People: sign-in, roles, permissions, audit."""
