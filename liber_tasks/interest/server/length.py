"""The longest prompt that a server takes: a history loses its oldest behaviours first. No I/O of its own."""

from collections.abc import Awaitable, Callable

from liber_tasks.interest.llm import CallPoison


async def fitted(excess: Callable[[str], Awaitable[int]], render: Callable[[int], str], most: int) -> tuple[str, int]:
    """Longest prompt that fits, by binary search; the whole one is tried first.

    Args:
        excess: tokens a prompt is over what the server takes; 0: it fits, or nobody can know.
        render: the prompt without so many parts, the oldest behaviours; never longer than with fewer left out.
        most: parts there are to leave out.

    Returns:
        The prompt, and how many parts it leaves out.

    Raises:
        CallPoison: it does not fit even with all of them left out.
    """
    prompt = render(0)
    over = await excess(prompt)
    if over <= 0:
        return prompt, 0
    best = prompt
    if most > 0:
        best = render(most)
        over = await excess(best)
    if over > 0:
        raise CallPoison(f"the prompt is {over} tokens too long for the server even with all left out that may be")
    too_few, enough = 0, most
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        prompt = render(middle)
        if await excess(prompt) > 0:
            too_few = middle
        else:
            best, enough = prompt, middle
    return best, enough
