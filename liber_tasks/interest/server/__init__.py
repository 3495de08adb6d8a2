"""The LLM server as the client sees it: who it is, which replica, how fast, what counts as an answer, what fits."""
