"""Measurements to the paper's table, other formats, comparisons and scaling. Values in, text out."""
