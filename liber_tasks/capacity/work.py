"""Work of a day: calls, tokens, GPU and CPU time."""

import math
from dataclasses import dataclass

from liber_tasks.capacity import costs
from liber_tasks.capacity.inputs import Inputs

DAY = 86_400.0
HOUR = 3_600.0


@dataclass(frozen=True)
class Work:
    """A day when partitions are sealed as fast as behaviours come (some months after the start; less before).

    Attributes:
        behaviors: appended.
        partitions: sealed; by count, every behaviour ends up in one.
        summary_calls, shift_calls, item_calls: questions to the LLM; a partition has one of each of the first two.
        prompt_tokens, answer_tokens: of all of them.
        gpu_hours: of LLM servers, at the rates given.
        gpus: servers that do it in a day at the utilisation allowed; 0 where there is nothing to do.
        gpus_at_peak: that keep up with the busiest hour.
        gpu_use: share of `gpus` that is busy, 0 to 1.
        calls_per_active_user: calls about users, over the users active on the day.
        encoder_cpu_hours, learner_cpu_hours: of cores.
        ingest_cpu_hours, database_cpu_hours: likewise, client and server: appending; sealing, ledger, vectors.
        training_cpu_hours: of a training run, all its fits.
        training_memory_gb: of its samples.
        serving_processes: of one thread each, at the peak.
        serving_memory_gb: of the users they keep, all processes.
        cores: that do the day's work, training excluded, in a day at the utilisation allowed, and serving.
    """

    behaviors: float
    partitions: float
    summary_calls: float
    shift_calls: float
    item_calls: float
    prompt_tokens: float
    answer_tokens: float
    gpu_hours: float
    gpus: int
    gpus_at_peak: int
    gpu_use: float
    calls_per_active_user: float
    encoder_cpu_hours: float
    database_cpu_hours: float
    learner_cpu_hours: float
    ingest_cpu_hours: float
    training_cpu_hours: float
    training_memory_gb: float
    serving_processes: int
    serving_memory_gb: float
    cores: int


def work(given: Inputs) -> Work:
    """What a day takes."""
    active = given.users * given.active_share
    behaviors = active * given.events_per_user
    partitions = behaviors / given.partition_k
    calls = 2 * partitions + given.new_items
    prompt, answer = tokens(given, partitions, partitions, given.new_items)
    gpu_hours = gpu_seconds(given, prompt, answer) / HOUR
    gpus = math.ceil(gpu_hours / 24 / given.utilisation)
    ingest = behaviors * costs.INGEST / HOUR
    database = (partitions * (costs.SEAL + costs.VECTOR) + calls * costs.LEDGER) / HOUR
    learner, encoder = calls * costs.CLIENT / HOUR, (calls + given.new_items) * costs.ENCODE / HOUR
    samples = behaviors * given.training_share * given.training_days
    processes = math.ceil(given.requests_per_second * costs.SCORE / given.utilisation) if given.users else 0
    return Work(
        behaviors=behaviors, partitions=partitions, summary_calls=partitions, shift_calls=partitions,
        item_calls=given.new_items, prompt_tokens=prompt, answer_tokens=answer, gpu_hours=gpu_hours, gpus=gpus,
        gpus_at_peak=math.ceil(gpu_hours / 24 * given.peak), gpu_use=gpu_hours / 24 / gpus if gpus else 0.0,
        calls_per_active_user=2 * partitions / active if active else 0.0, encoder_cpu_hours=encoder,
        database_cpu_hours=database, learner_cpu_hours=learner, ingest_cpu_hours=ingest,
        training_cpu_hours=samples * given.training_runs * given.training_epochs / costs.TRAIN / HOUR,
        training_memory_gb=samples * costs.SAMPLE_BYTES / 1e9, serving_processes=processes,
        serving_memory_gb=processes * min(given.serving_kept_users, active) * kept_bytes(given) / 1e9,
        cores=processes + math.ceil((encoder + database + learner + ingest) / 24 / given.utilisation),
    )  # fmt: skip


def tokens(given: Inputs, summaries: float, shifts: float, items: float) -> tuple[float, float]:
    """Prompt and answer tokens of so many calls."""
    prompt = summaries * given.summary_tokens_in + shifts * given.shift_tokens_in + items * given.item_tokens_in
    answer = summaries * given.summary_tokens_out + shifts * given.shift_tokens_out + items * given.item_tokens_out
    return prompt, answer


def gpu_seconds(given: Inputs, prompt: float, answer: float) -> float:
    """Of one GPU: prompts beyond the cached share at one rate, answers at another, one after the other. A server that
    overlaps both needs less, so measure the rates together (`liber efficiency`) rather than apart."""
    return prompt * (1 - given.cached_share) / given.prompt_rate + answer / given.output_rate


def kept_bytes(given: Inputs) -> float:
    """Bytes that a serving process keeps of a user, of the most partitions it keeps."""
    return costs.HISTORY_BYTES + costs.PROFILES * (costs.PROFILE_BYTES + 4 * given.vector_dimension)
