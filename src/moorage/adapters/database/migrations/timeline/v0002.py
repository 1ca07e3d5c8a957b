"""A fact may say how its word crossed the bus."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("facts", sa.Column("bus", sa.String, nullable=True))
