"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "facts",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("wall", sa.Float, nullable=False),
        sa.Column("monotonic", sa.Float, nullable=False),
        sa.Column("who", sa.String(length=32), nullable=False),
        sa.Column("server", sa.String(length=64), nullable=True),
        sa.Column("port", sa.String(length=64), nullable=True),
        sa.Column("generation", sa.String(length=64), nullable=True),
        sa.Column("attempt", sa.Integer, nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("detail", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("facts_port", "facts", ["port"])
    op.create_index("facts_server", "facts", ["server"])
