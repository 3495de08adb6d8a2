"""Can an experiment's data be trusted: sample ratio, users left out, exposures that should not be. Pure."""

from liber_tasks.experiment import statistics
from liber_tasks.experiment.record import Quality, SampleRatio
from liber_tasks.experiment.stored import Experiment
from liber_tasks.experiment.totals import Counts


def ratio(experiment: Experiment, counts: Counts, outside: int) -> SampleRatio:
    """Did the arms get the users they should have: of all users exposed, the left out included."""
    control, treatment = (counts.exposed.get(arm, 0) for arm in ("control", "treatment"))
    return statistics.sample_ratio(
        control, treatment, experiment.control_share, experiment.treatment_share, _causes(counts, outside)
    )


def quality(counts: Counts, outside: int) -> Quality:
    """What is odd about the users."""
    return Quality(
        wrong_arm=counts.wrong_arm,
        exposed_outside=outside,
        crossed=sum(counts.left_out.get("crossed", {}).values()),
        bots=counts.left_out.get("bot", {}),
        without_pre_period=counts.without_pre_period,
        without_play=counts.without_play,
    )


def _causes(counts: Counts, outside: int) -> dict[str, bool]:
    """Likely causes of a sample ratio mismatch, and which of them show here (Fabijan et al., KDD 2019)."""
    return {
        "Users were served another arm than the one their bucket gives: the service assigns in another way.": (
            counts.wrong_arm > 0
        ),
        "Users were served both arms: the assignment is not kept between requests or devices.": (
            "crossed" in counts.left_out
        ),
        "Programs are among the users, more in one arm than in the other.": "bot" in counts.left_out,
        "Exposures lie outside the experiment's time: the arms were not switched on and off together.": outside > 0,
        "One arm fails or is slower before its exposure is logged: log the exposure where the arm is decided.": False,
        "Exposures of one arm are lost or arrive later than the other's.": False,
    }
