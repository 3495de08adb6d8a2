"""How many users an experiment needs, and what it can see with those it will get: closed forms, nothing is read."""

from statistics import NormalDist

ALPHA = 0.05  # two-sided
POWER = 0.8


def users_needed(
    mean: float, variance: float, correlation: float, effect: float, control: float, treatment: float
) -> tuple[float, float]:
    """Users an arm that show a relative effect of this size with the usual error rates.

    With N users let in, of whom shares w_c and w_t are in the arms, the difference of the means has the variance
    var (1 - rho^2) (1/w_c + 1/w_t) / N; for equal arms this is n = 2 (z_a/2 + z_b)^2 var (1 - rho^2) / (mean effect)^2
    an arm. CUPED: Deng et al., "Improving the Sensitivity of Online Controlled Experiments", WSDM 2013, section 3.

    Args:
        mean, variance: of the metric over users, mean > 0.
        correlation: with the pre-period, -1 to 1; 0 where it is not adjusted for.
        effect: relative, > 0.
        control, treatment: shares, > 0; only their proportion counts.

    Returns:
        Users of the control and of the treatment.
    """
    left = variance * (1 - correlation**2)
    total = _z() ** 2 * left * (1 / control + 1 / treatment) / (mean * effect) ** 2
    return total * control, total * treatment


def detectable(mean: float, variance: float, correlation: float, control: float, treatment: float) -> float:
    """Smallest relative effect that so many users of each arm show with the usual error rates; > 0.

    Args:
        mean, variance, correlation: as for `users_needed`.
        control, treatment: users of each arm, > 0.
    """
    left = variance * (1 - correlation**2)
    return _z() * float((left * (1 / control + 1 / treatment)) ** 0.5) / mean


def _z() -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - ALPHA / 2) + normal.inv_cdf(POWER)
