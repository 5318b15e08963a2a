"""CTranslate2 with the weights of ours."""

import ctranslate2
from timing import NEW_TOKENS, cell, report, sources


def main(cell):
    translator = ctranslate2.Translator(
        f"{cell.folder}/ctranslate2-{cell.size}-{cell.beam}",
        compute_type=cell.kind,
        inter_threads=cell.parts,
        intra_threads=cell.threads // cell.parts,
    )
    words = [[f"w{i}" for i in row] for row in sources(cell)]

    def decode():
        results = translator.translate_batch(
            words,
            beam_size=cell.beam,
            max_decoding_length=NEW_TOKENS,
            min_decoding_length=NEW_TOKENS,
            max_batch_size=-(-cell.batch // cell.parts) if cell.parts > 1 else 0,
            return_scores=True,
        )
        return len(results[0].hypotheses[0])

    report(cell, decode)


main(cell())
