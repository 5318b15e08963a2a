"""Attention layers: one public class a file."""

from keras_attn.layers.attention.bahdanau_attention import BahdanauAttention
from keras_attn.layers.attention.coverage_attention import CoverageAttention
from keras_attn.layers.attention.location_sensitive_attention import LocationSensitiveAttention
from keras_attn.layers.attention.luong_attention import LuongAttention
from keras_attn.layers.attention.luong_local_attention import LuongLocalAttention
from keras_attn.layers.attention.monotonic_attention import MonotonicAttention
from keras_attn.layers.attention.multi_head_attention import MultiHeadAttention
from keras_attn.layers.attention.step_attention import StepAttention
from keras_attn.layers.convolutional.gated_convolution import GatedConvolution
from keras_attn.layers.convolutional.gradient_scaling import GradientScaling
from keras_attn.layers.convolutional.multi_step_attention import MultiStepAttention
from keras_attn.layers.convolutional.weight_normalized_convolution import WeightNormalizedConvolution
from keras_attn.layers.embedding.alibi_positions import ALiBiPositions
from keras_attn.layers.embedding.learned_positional_embedding import LearnedPositionalEmbedding
from keras_attn.layers.embedding.relative_positions import RelativePositions
from keras_attn.layers.embedding.rotary_positions import RotaryPositions
from keras_attn.layers.embedding.shaw_positions import ShawPositions
from keras_attn.layers.embedding.sinusoidal_positional_encoding import SinusoidalPositionalEncoding
from keras_attn.layers.embedding.t5_positions import T5Positions
from keras_attn.layers.recurrent.attention_cell import AttentionCell
from keras_attn.layers.recurrent.attention_rnn import AttentionRNN
from keras_attn.layers.transformer.layer_drop import LayerDrop
from keras_attn.layers.transformer.positionwise_feed_forward import PositionwiseFeedForward
from keras_attn.layers.transformer.residual_connection import ResidualConnection
from keras_attn.layers.transformer.transformer_decoder_block import TransformerDecoderBlock
from keras_attn.layers.transformer.transformer_encoder_block import TransformerEncoderBlock

__all__ = [
    "ALiBiPositions",
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
    "RelativePositions",
    "ResidualConnection",
    "RotaryPositions",
    "ShawPositions",
    "SinusoidalPositionalEncoding",
    "StepAttention",
    "T5Positions",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
    "WeightNormalizedConvolution",
]
