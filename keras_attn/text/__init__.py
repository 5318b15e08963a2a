"""Tokenizers: strings to ids and back, in graph, savable."""

from keras_attn.text.bytes import ByteTokenizer
from keras_attn.text.characters import CharacterTokenizer
from keras_attn.text.loading import load_tokenizer
from keras_attn.text.sentencepiece import SentencePieceTokenizer
from keras_attn.text.words import WordTokenizer

__all__ = [
    "ByteTokenizer",
    "CharacterTokenizer",
    "SentencePieceTokenizer",
    "WordTokenizer",
    "load_tokenizer",
]
