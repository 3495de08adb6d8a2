"""What is done, what waits and since when, how fast it goes, what went wrong, what it cost: counted, kept, served.

To count goes through all texts, so it is done now and then and the result kept; pages, `liber status` and the metrics
endpoint read what was kept and say how old it is.
"""
