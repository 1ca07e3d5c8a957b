"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "flavors",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "hosts",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("uuid", sa.String, nullable=False),
        sa.Column("heard_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("vcpus", sa.Integer, nullable=False),
        sa.Column("memory_mib", sa.Integer, nullable=False),
        sa.Column("disk_gib", sa.Integer, nullable=False),
        sa.Column("hypervisor_type", sa.String, nullable=False),
        sa.Column("is_enabled", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.String, nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_table(
        "keypairs",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("public_key", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("user", "name"),
    )
    op.create_table(
        "servers",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("vm_state", sa.String, nullable=False),
        sa.Column("task_state", sa.String, nullable=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("is_deleted", sa.Boolean, nullable=False),
        sa.Column("vcpus", sa.Integer, nullable=False),
        sa.Column("memory_mib", sa.Integer, nullable=False),
        sa.Column("disk_gib", sa.Integer, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("servers_by_host", "servers", ["is_deleted", "host"])
    op.create_index("servers_by_project", "servers", ["is_deleted", "project", "created"])
    op.create_index("servers_by_time", "servers", ["created", "id"])
    op.create_table(
        "actions",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("server", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["server"], ["servers.id"]),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("actions_by_server", "actions", ["server", "request_id"])
    op.create_table(
        "flavor_access",
        sa.Column("flavor", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.ForeignKeyConstraint(["flavor"], ["flavors.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("flavor", "project"),
    )
