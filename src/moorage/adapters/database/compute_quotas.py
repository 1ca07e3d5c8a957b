"""The part that limits of single projects have in a transaction."""

from collections.abc import Mapping

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from moorage.adapters.database.compute_tables import QuotaRow


def quotas(session: Session, project: str) -> Mapping[str, int]:
    rows = session.scalars(select(QuotaRow).where(QuotaRow.project == project))
    return {row.name: row.value for row in rows}


def change(session: Session, project: str, limits: Mapping[str, int]) -> None:
    for name, value in sorted(limits.items()):
        session.merge(QuotaRow(project=project, name=name, value=value))


def clear(session: Session, project: str) -> None:
    session.execute(delete(QuotaRow).where(QuotaRow.project == project))
