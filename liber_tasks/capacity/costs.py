"""What a unit of work costs. One place; each line says the command that printed it, or that it is a guess.

CPU-seconds of one of two shared x86-64 cores; PostgreSQL 18.4, Python 3.11. Measure yours with the same commands.
"""

# WAL over the bytes of the rows and index entries written, pages full; tests.bench capacity
WAL = {
    "behavior": 1.52, "behavior_partition": 2.89, "interest": 2.61, "interest_vector": 1.69, "interest_nearest": 0.98,
    "item": 2.57, "item_knowledge": 1.35, "item_vector": 1.15,
}  # fmt: skip
# bytes a behaviour that comes in batches of hundreds, sealing included: after a checkpoint each page is written whole;
# tests.bench scale
WAL_OF_BATCHES = 1140.0

INGEST = 10.3e-6  # a behaviour, client and server; tests.bench capacity
SEAL = 27e-6  # a partition, client and server; tests.bench capacity
LEDGER = 300e-6  # a call, client and server, 64 in a transaction; tests.bench capacity
CLIENT = 12e-3  # a call, of the learner besides; tests.bench soak, learn_cpu_ms over the calls of its events
VECTOR = 67e-6  # a vector, client and server; tests.bench capacity
ENCODE = 5e-3  # a text of 20 words; tests.bench soak, encode_cpu_ms less the 0.5 s that loading the model takes
TRAIN = 20_000.0  # samples a CPU-second, DIN; a guess, tests.bench train prints it
SCORE = 2e-3  # a request of 1 x 100 about a cached user, option pooled; docs/serving.md
PROFILE_BYTES = 5_000.0  # of a kept partition, option profile; docs/serving.md
PROFILES = 32  # partitions of a user that are kept at most; backbones.vocabulary.MAX_PARTITIONS
HISTORY_BYTES = 3_200.0  # of a kept user: 200 behaviours of two numbers; arithmetic
SAMPLE_BYTES = 1_000.0  # of a training sample in memory: 50 behaviours of two numbers, and its fields; arithmetic
