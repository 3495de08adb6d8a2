"""A partition rule of one's own: a cache ends where a listener plays the same genre for the fifth time in a row."""

from sqlalchemy import text

from liber_tasks import db
from liber_tasks.config import settings
from liber_tasks.partition.cuts import Cut, request_cuts

IN_A_ROW = 5
STREAMS = """
SELECT user_id, event_id, item.attributes -> 'genres' ->> 0 AS genre
FROM liber.behavior JOIN liber.user_profile USING (user_key) JOIN liber.item USING (item_key)
ORDER BY user_key, seq
"""

engine = db.connect(settings())
cuts, listener, genre, length = [], None, None, 0
with engine.connect() as connection:
    for event in connection.execute(text(STREAMS)):
        length = length + 1 if (event.user_id, event.genre) == (listener, genre) else 1
        listener, genre = event.user_id, event.genre
        if length == IN_A_ROW:
            cuts.append(Cut(event.user_id, event.event_id))
            length = 0
print(request_cuts(engine, cuts, model="five-in-a-row/1"))
