"""A whole cloud of one command's own, spread over processes: PostgreSQL, RabbitMQ, two of each API, a host."""
