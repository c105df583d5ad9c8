"""Benchmark-style evaluation: predictors, tables and pictures."""
