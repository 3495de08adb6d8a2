"""The longest prompt that a server takes: the oldest behaviours are left out first. No I/O of its own."""

from collections.abc import Awaitable, Callable

from liber_tasks.interest.llm import CallPoison


async def fitted(excess: Callable[[str], Awaitable[int]], render: Callable[[int], str], most: int) -> tuple[str, int]:
    """Longest prompt that fits, by binary search; the whole one is tried first.

    Args:
        excess: tokens a prompt is over what the server takes; 0: it fits, or nobody can know.
        render: the prompt without its oldest `left_out` behaviours; never longer than with fewer left out.
        most: behaviours there are to leave out.

    Returns:
        The prompt, and how many behaviours it leaves out.

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
        raise CallPoison(f"the prompt is {over} tokens too long for the server even with every behaviour left out")
    too_few, enough = 0, most
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        prompt = render(middle)
        if await excess(prompt) > 0:
            too_few = middle
        else:
            best, enough = prompt, middle
    return best, enough
