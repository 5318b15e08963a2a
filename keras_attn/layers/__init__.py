"""Attention layers: one public class a file."""

from keras_attn.layers.attention_cell import AttentionCell
from keras_attn.layers.attention_rnn import AttentionRNN
from keras_attn.layers.bahdanau_attention import BahdanauAttention
from keras_attn.layers.coverage_attention import CoverageAttention
from keras_attn.layers.gated_convolution import GatedConvolution
from keras_attn.layers.gradient_scaling import GradientScaling
from keras_attn.layers.layer_drop import LayerDrop
from keras_attn.layers.learned_positional_embedding import LearnedPositionalEmbedding
from keras_attn.layers.location_sensitive_attention import LocationSensitiveAttention
from keras_attn.layers.luong_attention import LuongAttention
from keras_attn.layers.luong_local_attention import LuongLocalAttention
from keras_attn.layers.monotonic_attention import MonotonicAttention
from keras_attn.layers.multi_head_attention import MultiHeadAttention
from keras_attn.layers.multi_step_attention import MultiStepAttention
from keras_attn.layers.positionwise_feed_forward import PositionwiseFeedForward
from keras_attn.layers.residual_connection import ResidualConnection
from keras_attn.layers.sinusoidal_positional_encoding import SinusoidalPositionalEncoding
from keras_attn.layers.step_attention import StepAttention
from keras_attn.layers.transformer_decoder_block import TransformerDecoderBlock
from keras_attn.layers.transformer_encoder_block import TransformerEncoderBlock
from keras_attn.layers.weight_normalized_convolution import WeightNormalizedConvolution

__all__ = [
    "AttentionCell",
    "AttentionRNN",
    "BahdanauAttention",
    "CoverageAttention",
    "GatedConvolution",
    "GradientScaling",
    "LayerDrop",
    "LearnedPositionalEmbedding",
    "LocationSensitiveAttention",
    "LuongAttention",
    "LuongLocalAttention",
    "MonotonicAttention",
    "MultiHeadAttention",
    "MultiStepAttention",
    "PositionwiseFeedForward",
    "ResidualConnection",
    "SinusoidalPositionalEncoding",
    "StepAttention",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
    "WeightNormalizedConvolution",
]
