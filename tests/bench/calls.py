"""LLM calls that MovieLens-100K costs at K=20, against one call a sample (paper, Table 6), and their prompt tokens.

Tokens are counted by the embedded server's tokenizer, chat template included. With prefix caching, a token counts only
beyond the longest beginning that the prompt shares with an earlier one of its kind: what a server keeps that forgets
nothing (token by token, or in whole blocks of 16 as vLLM does by default). Shifts need summaries, and nothing is asked
here: they get random words, 40 tokens or a little fewer, so that no two begin alike.
"""

import bisect
import random
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from sqlalchemy import Engine

from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.movielens import USERS, obtain
from liber_tasks.config import Settings
from liber_tasks.interest.backlog import Backlog, PartitionCall
from liber_tasks.interest.inputs import users_in_order, work
from liber_tasks.interest.learn import learn
from liber_tasks.interest.prompts import knowledge_version
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from liber_tasks.types import Shard
from tests.bench.database import cluster, database, say
from tests.services import llm_server

BLOCK = 16  # tokens that vLLM caches together
SUMMARY_WORDS = 28  # about 38 tokens; the default bound of a summary is 40
VOCABULARY = """
    prefers enjoys dislikes recent classic drama comedy thriller horror romance war western crime science fiction
    adventure animation musical mystery films directors quiet dark witty slow rates highly avoids family strong
    female leads literary adaptations independent European action sequels seldom often lately moves towards
"""


def measure() -> tuple[dict[str, float], dict[str, Any]]:
    """Ratios and the counts behind them, from a plan of the whole backlog; no model is asked. About a minute."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, cluster() as server:
        engine = database(server)
        data = obtain(settings, Path(folder) / "data")
        for kind, path in (("items", data.items), ("users", data.users), ("behaviors", data.behaviors)):
            say(f"ingesting {kind}")
            samples = ingest(engine, settings, [path], kind=kind).accepted  # the last kind counts
        partitions = seal(engine, PartitionRule(20), datetime.now(UTC)).partitions
        say("planning every call")
        calls = learn(engine, settings, dry_run=True).calls
        asked = list(every_call(engine, settings))
        if len(asked) != calls:
            raise RuntimeError(f"The plan says {calls} calls, the backlog offers {len(asked)}.")
        with llm_server(Path(folder)) as url:
            say("counting tokens")
            tokens = {kind: _tokens(url, (call.prompt for call in asked if call.kind == kind))
                      for kind in ("summary", "shift")}  # fmt: skip
    figures: dict[str, Any] = {"samples": samples, "users": USERS, "partitions": partitions, "calls": calls,
                               "shift_prompts": "made with random words in place of summaries"}  # fmt: skip
    total: dict[str, int] = dict.fromkeys(("uncached", "cached", "cached_by_block"), 0)
    for kind, prompts in tokens.items():
        shared = shared_beginnings(prompts)
        lengths = [len(prompt) // 4 for prompt in prompts]
        counts = {
            "uncached": sum(lengths),
            "cached": sum(lengths) - sum(shared),
            "cached_by_block": sum(lengths) - sum(length // BLOCK * BLOCK for length in shared),
        }
        for name, count in counts.items():
            total[name] += count
            figures[f"{kind}_prompt_tokens_{name}"] = count
        figures[f"{kind}_calls"] = len(prompts)
        figures[f"{kind}_tokens_a_prompt"] = round(counts["uncached"] / len(prompts), 1)
        figures[f"{kind}_tokens_shared"] = round(sum(shared) / len(prompts), 1)
    figures |= {f"prompt_tokens_{name}": count for name, count in total.items()}
    ratios = {
        "calls_per_user": calls / USERS,
        "one_per_sample_over_ours": samples / calls,
        "cached_over_uncached_tokens": round(total["cached"] / total["uncached"], 3),
        "cached_by_block_over_uncached_tokens": round(total["cached_by_block"] / total["uncached"], 3),
    }
    return ratios, figures


def every_call(engine: Engine, settings: Settings) -> Iterator[PartitionCall]:
    """Every call of an empty database in the order a run takes them, its summaries answered with random words."""
    knowledge = knowledge_version(settings)
    backlog, dice, words = Backlog(knowledge), random.Random(0), VOCABULARY.split()
    users = users_in_order(engine, settings.learn_order, None, Shard())
    for user in chain.from_iterable(work(engine, knowledge, users)):
        backlog.begin(backlog.prepare(user))
        while call := backlog.take():
            yield call
            backlog.answered(call, " ".join(dice.choices(words, k=SUMMARY_WORDS)))


def _tokens(url: str, prompts: Iterable[str]) -> list[bytes]:
    """Token numbers of each prompt within the chat template, four bytes a token, so that bytes sort as tokens do."""
    with httpx2.Client(base_url=url, timeout=60) as client:

        def post(path: str, body: dict[str, Any]) -> Any:
            answer = client.post(path, json=body)
            answer.raise_for_status()
            return answer.json()

        mark = "PROMPT"
        chat = post("/apply-template", {"messages": [{"role": "user", "content": mark}]})["prompt"]
        before, _, after = chat.rpartition(mark)
        found = []
        for prompt in prompts:
            body = {"content": before + prompt + after, "add_special": True, "parse_special": True}
            found.append(np.array(post("/tokenize", body)["tokens"], dtype=">u4").tobytes())
        return found


def shared_beginnings(prompts: Iterable[bytes]) -> list[int]:
    """For each prompt the tokens of the longest beginning it shares with any earlier one.

    In sorted order the one that shares most is a neighbour.
    """
    earlier: list[bytes] = []
    shared = []
    for prompt in prompts:
        at = bisect.bisect_left(earlier, prompt)
        shared.append(max((_common(prompt, other) for other in earlier[max(0, at - 1) : at + 1]), default=0))
        earlier.insert(at, prompt)
    return shared


def _common(one: bytes, other: bytes) -> int:
    """Leading tokens that are equal."""
    size = min(len(one), len(other))
    differ = np.frombuffer(one[:size], ">u4") != np.frombuffer(other[:size], ">u4")
    return int(differ.argmax()) if differ.any() else size // 4
