"""The global split by time that encoder (what PCA may see) and training share."""

from datetime import datetime

from sqlalchemy import Engine

from liber_tasks.db import query


def time_cut(engine: Engine, train_share: float) -> datetime | None:
    """Event time of the first test behaviour: training is strictly before it (paper, section 4.1.1, 9:1).

    Args:
        engine: LIBER database.
        train_share: share of behaviours that train, 0 to 1.

    Returns:
        The cut, with time zone; None when there is no behaviour.
    """
    with engine.connect() as connection:
        return connection.execute(query("time_cut"), {"share": train_share}).scalar_one()
