"""Training of text-to-text models from recipes."""

from keras_attn.extras import require

require("tensorflow", "babel", "sacrebleu", "tomli_w")
