"""Inputs of the interest shift klg^c_j = LLM(prompt_c, klg^s_j, klg^s_{j-1}) (paper, section 3.3.2, Eq. 3). Pure."""

from liber_tasks.interest.prompts import TEXT_CHARACTERS, Knowledge
from liber_tasks.interest.wording.untrusted import quote


def shift_prompt(knowledge: Knowledge, previous: str, current: str) -> str:
    """The prompt for two neighbouring partitions.

    Args:
        knowledge: template and domain.
        previous: summary of P_{j-1}. A model wrote it from untrusted titles, so it is quoted too.
        current: summary of P_j.
    """
    return knowledge.templates["shift"].render(
        items=knowledge.domain.items,
        factors=knowledge.domain.factors,
        previous=quote(previous, TEXT_CHARACTERS),
        current=quote(current, TEXT_CHARACTERS),
    )
