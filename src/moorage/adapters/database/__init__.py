"""SQLAlchemy: the same synchronous work on SQLite (in place) and, later, on PostgreSQL."""
