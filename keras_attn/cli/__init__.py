"""The `keras-attn` command, one module a verb."""

from keras_attn.extras import require

require("click")
