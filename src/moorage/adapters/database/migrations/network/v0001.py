"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("host", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("host"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "dead_events",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "networks",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("is_shared", sa.Boolean, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_networks_project", "networks", ["project"])
    op.create_table(
        "outbox",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("port", sa.String, nullable=False),
        sa.Column("is_status", sa.Boolean, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_port", "outbox", ["port"])
    op.create_table(
        "security_groups",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("default_of", sa.String, nullable=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("default_of"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_security_groups_project", "security_groups", ["project"])
    op.create_table(
        "ports",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("network", sa.String, nullable=False),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=True),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("mac", sa.String, nullable=False),
        sa.Column("mark_epoch", sa.BigInteger, nullable=True),
        sa.Column("mark_sequence", sa.BigInteger, nullable=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["network"], ["networks.id"]),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("network", "mac"),
    )
    op.create_index("ix_ports_device", "ports", ["device"])
    op.create_index("ix_ports_host", "ports", ["host"])
    op.create_index("ix_ports_project", "ports", ["project"])
    op.create_table(
        "security_group_rules",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("group_id", sa.String, nullable=False),
        sa.Column("remote", sa.String, nullable=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["security_groups.id"]),
        sa.ForeignKeyConstraint(["remote"], ["security_groups.id"]),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_security_group_rules_group_id", "security_group_rules", ["group_id"])
    op.create_index("ix_security_group_rules_remote", "security_group_rules", ["remote"])
    op.create_table(
        "subnets",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("network", sa.String, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["network"], ["networks.id"]),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_subnets_network", "subnets", ["network"])
    op.create_index("ix_subnets_project", "subnets", ["project"])
    op.create_table(
        "allocations",
        sa.Column("subnet", sa.String, nullable=False),
        sa.Column("address", sa.BigInteger, nullable=False),
        sa.Column("port", sa.String, nullable=False),
        sa.ForeignKeyConstraint(["port"], ["ports.id"]),
        sa.ForeignKeyConstraint(["subnet"], ["subnets.id"]),
        sa.PrimaryKeyConstraint("subnet", "address"),
    )
    op.create_index("ix_allocations_port", "allocations", ["port"])
    op.create_table(
        "memberships",
        sa.Column("port", sa.String, nullable=False),
        sa.Column("group_id", sa.String, nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["security_groups.id"]),
        sa.ForeignKeyConstraint(["port"], ["ports.id"]),
        sa.PrimaryKeyConstraint("port", "group_id"),
    )
    op.create_index("ix_memberships_group_id", "memberships", ["group_id"])
