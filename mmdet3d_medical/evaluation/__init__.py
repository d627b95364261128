"""Scores of lesion detection: what a data set's marks are worth."""
