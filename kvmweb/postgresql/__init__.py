"""Django's PostgreSQL backend for threads that outlive a PostgreSQL."""
