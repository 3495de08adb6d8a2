"""Deterministic assignment of users to arms: no table, the same answer in Python and in SQL (`liber.arm`).

Two independent buckets decide. The *gate* says whether a user is let into the experiment at all: its salt is the
layer's, so that experiments of one layer exclude each other by their slots, or the experiment's own. The *arm* comes
from the experiment's salt alone. To let more users in moves the gate and no arm: nobody is assigned anew.

SHA-256 rather than a cheap hash: buckets of one user must be independent between salts, or one experiment's arms
lean on another's.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

from liber_tasks.errors import InputError

BUCKETS = 10_000
Arm = Literal["control", "treatment"]


def bucket(salt: str, user_id: str) -> int:
    """Bucket of a user, 0 to 9999, uniform and fixed for one salt.

    Args:
        salt: of the experiment; another salt shuffles all users anew.
        user_id: external id.

    Returns:
        The first 15 hexadecimal digits of SHA-256 of `salt:user_id` (UTF-8), modulo 10000.
    """
    digest = hashlib.sha256(f"{salt}:{user_id}".encode()).hexdigest()
    return int(digest[:15], 16) % BUCKETS


def arm(salt: str, user_id: str, control_share: float = 0.1, treatment_share: float = 0.1) -> Arm | None:
    """Arm of a user who is let in: the lowest buckets are control, the next treatment, the rest stay outside.

    Args:
        salt: of the experiment.
        user_id: external id.
        control_share, treatment_share: share of all users, 0 to 1, resolved to 1/10000 (paper, 4.4.2: 10 % each).

    Raises:
        InputError: the shares are not positive or exceed 1 together.
    """
    control, treatment = cuts(control_share, treatment_share)
    place = bucket(salt, user_id)
    if place < control:
        return "control"
    return "treatment" if place < treatment else None


def cuts(control_share: float, treatment_share: float) -> tuple[int, int]:
    """First bucket after control and first bucket after treatment. Raises InputError like `arm`."""
    control, treatment = round(float(control_share) * BUCKETS), round(float(treatment_share) * BUCKETS)
    if control < 1 or treatment < 1 or control + treatment > BUCKETS:
        raise InputError(
            f"control_share {control_share} and treatment_share {treatment_share}: "
            f"each must be at least {1 / BUCKETS} and both together at most 1."
        )
    return control, control + treatment


@dataclass(frozen=True)
class Assignment:
    """All that decides who is in an experiment, and in which arm."""

    salt: str
    control_share: float  # of the users let in, like treatment_share
    treatment_share: float
    layer: str | None = None
    slot: tuple[int, int] = (0, BUCKETS)  # of the layer's buckets: first, and first that is not in it
    traffic: float = 1.0  # share of the slot that is let in, resolved to 1/10000

    @property
    def gate_salt(self) -> str:
        """Salt of the bucket that lets a user in."""
        return f"{self.salt}/traffic" if self.layer is None else f"layer/{self.layer}"

    @property
    def admitted(self) -> range:
        """Gate buckets let in, the first of the slot. In whole numbers, so that every language rounds alike."""
        first, end = self.slot
        return range(first, first + (round(self.traffic * BUCKETS) * (end - first) + BUCKETS // 2) // BUCKETS)

    @property
    def share(self) -> float:
        """Share of all users who are let in, 0 to 1."""
        return len(self.admitted) / BUCKETS

    def arm_of(self, user_id: str) -> Arm | None:
        """Arm of a user; None: outside the experiment. Raises InputError like `arm`."""
        if self.share < 1 and bucket(self.gate_salt, user_id) not in self.admitted:
            return None
        return arm(self.salt, user_id, self.control_share, self.treatment_share)
