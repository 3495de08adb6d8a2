"""Numbers known before a sample that compare its candidate with the user's past. Import numpy and scipy only.

Training computes them for all samples at once, serving for the candidates at hand, by the same functions.
"""
