"""Questions through the client, from tests without an event loop."""

import asyncio
from typing import Any

from liber_tasks.config import Settings
from liber_tasks.interest.llm import LlmClient


def ask(settings: Settings, url: str, prompts: list[str], **changes: Any) -> list[Any]:
    """Ask all prompts at once; answers or errors in their order."""
    changed = settings.model_copy(update={"llm_url": url, "llm_patience": 1.0, "llm_timeout": 5.0} | changes)

    async def run() -> list[Any]:
        async with LlmClient(changed) as client:
            return await asyncio.gather(*(client.complete(prompt, 8) for prompt in prompts), return_exceptions=True)

    return asyncio.run(run())
