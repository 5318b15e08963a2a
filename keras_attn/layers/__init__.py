"""Attention layers: one public class a file."""

from keras_attn.layers.attention_rnn import AttentionRNN
from keras_attn.layers.bahdanau_attention import BahdanauAttention

__all__ = ["AttentionRNN", "BahdanauAttention"]
