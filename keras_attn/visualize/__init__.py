"""Pictures of attention: which input token each output token looked at.

A page of real HTML tables for the browser and a coloured table for the terminal. Both say every weight in
figures too (percent), so that neither depends on colour.
"""

from keras_attn.visualize.alignment import Alignment
from keras_attn.visualize.page import alignment_html
from keras_attn.visualize.terminal import alignment_table

__all__ = ["Alignment", "alignment_html", "alignment_table"]
