"""Text in which nothing hides."""

import unicodedata


def visible(text: str, spaces: bool = True) -> str:
    """Text in which nothing hides: what prints nothing is replaced by a sign; plain spaces too where asked.

    Nothing is left that a terminal or a browser would obey instead of show.
    """
    return "".join(_sign(character, text, spaces) for character in text)


_SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\xa0": "⍽"}


def _sign(character: str, text: str, spaces: bool) -> str:
    category = unicodedata.category(character)
    if category == "Zs" and not spaces:
        return " "
    if character in _SIGNS:
        return _SIGNS[character]
    if character in "\u200c\u200d" and len(text) > 1:
        return character  # joiners shape the letters beside them
    if category[0] in "CZ":  # controls, invisible formats, halves of characters, unusual spaces
        return f"[U+{ord(character):04X}]"
    if category[0] == "M" and len(text) == 1:
        return "◌" + character  # a combining mark by itself would sit on whatever stands before it
    return character
