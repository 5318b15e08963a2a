"""Predict, classify, regress and stream on a loaded model."""

from keras_attn.extras import require

require("tensorflow_serving")
