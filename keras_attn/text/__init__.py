"""Tokenizers: strings to ids and back, in graph, savable."""

from keras_attn.text.characters import CharacterTokenizer
from keras_attn.text.sentencepiece import SentencePieceTokenizer

__all__ = ["CharacterTokenizer", "SentencePieceTokenizer"]
