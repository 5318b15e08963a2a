"""Tokenizers: strings to ids and back, in graph, savable."""

from keras_attn.tokenizers.bytes import ByteTokenizer
from keras_attn.tokenizers.characters import CharacterTokenizer
from keras_attn.tokenizers.loading import load_tokenizer
from keras_attn.tokenizers.sentencepiece import SentencePieceTokenizer
from keras_attn.tokenizers.words import WordTokenizer

__all__ = [
    "ByteTokenizer",
    "CharacterTokenizer",
    "SentencePieceTokenizer",
    "WordTokenizer",
    "load_tokenizer",
]
