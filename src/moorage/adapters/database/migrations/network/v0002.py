"""Who has taken news from the outbox is noted there: several notifiers may."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("outbox", sa.Column("taken_by", sa.BigInteger, nullable=True))
