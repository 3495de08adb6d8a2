"""A made-up record shop: behaviors.csv, items.jsonl and users.jsonl in the current folder, always the same."""

import csv
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

GENRES = ("Jazz", "Folk", "Techno")
START = datetime(2026, 1, 1, tzinfo=UTC)

draw = random.Random(1)
with Path("items.jsonl").open("w") as items:
    for n in range(60):
        record = {"item_id": f"record-{n}", "title": f"Record {n}", "artist": f"Artist {n % 9}",
                  "genres": [GENRES[n % 3]], "year": 1970 + n % 50, "duration_seconds": 240}  # fmt: skip
        items.write(json.dumps(record) + "\n")
with Path("users.jsonl").open("w") as users:
    for n in range(30):
        users.write(json.dumps({"user_id": f"listener-{n}", "country": ("Norway", "Chile")[n % 2]}) + "\n")
with Path("behaviors.csv").open("w", newline="") as behaviors:
    rows = csv.writer(behaviors)
    rows.writerow(["event_id", "user_id", "item_id", "event_time", "kind", "play_seconds"])
    for user in range(30):
        moment = START + timedelta(hours=8 * user)
        for n in range(40):
            moment += timedelta(minutes=draw.randrange(1, 600))
            record = draw.randrange(60)
            liked = (record % 3 == user % 3) == (draw.random() < 0.9)
            rows.writerow([f"{user}/{n}", f"listener-{user}", f"record-{record}", moment.isoformat(), "play",
                           draw.randrange(130, 240) if liked else draw.randrange(5, 60)])  # fmt: skip
