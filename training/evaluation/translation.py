"""Any number of texts, translated in batches."""


def translate_all(text_to_text, texts, batch_size=64):
    """Translates any number of texts, those of similar length together.

    Returns:
        A list of strings in the order of `texts`.
    """
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    translations = [""] * len(texts)
    for begin in range(0, len(order), batch_size):
        chosen = order[begin : begin + batch_size]
        translated = text_to_text([texts[index] for index in chosen])
        for index, text in zip(chosen, translated, strict=True):
            translations[index] = text
    return translations
