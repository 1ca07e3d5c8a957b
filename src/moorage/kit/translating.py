"""Foreign errors become ours, at the rim of an adapter and nowhere else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def translating(
    errors: Mapping[type[BaseException] | tuple[type[BaseException], ...], type[Exception]], act: str
) -> Iterator[None]:
    """Raise the mapped error, saying which `act` failed, in place of a foreign one (chained as its cause)."""
    try:
        yield
    except Exception as error:
        for foreign, ours in errors.items():
            if isinstance(error, foreign) and not isinstance(error, ours):
                raise ours(f"{act}: {str(error) or type(error).__name__}") from error
        raise
