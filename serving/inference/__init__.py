"""Predict, classify, regress and stream on a loaded model."""
