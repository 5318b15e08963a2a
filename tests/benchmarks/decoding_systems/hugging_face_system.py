"""Hugging Face transformers on PyTorch: a Marian model of the same size, random weights of its own."""

import torch
from timing import END, NEW_TOKENS, SIZES, START, VOCABULARY, cell, report, sources
from transformers import GenerationConfig, MarianConfig, MarianMTModel


def main(cell):
    torch.set_num_threads(cell.threads)
    torch.manual_seed(7)
    model = MarianMTModel(config(cell.size)).eval()
    source = torch.from_numpy(sources(cell)).long()
    generation = GenerationConfig(
        num_beams=cell.beam,
        do_sample=False,
        min_new_tokens=NEW_TOKENS,
        max_new_tokens=NEW_TOKENS,
        decoder_start_token_id=START,
        eos_token_id=END,
        pad_token_id=0,
    )
    mask = torch.ones_like(source)

    def decode():
        with torch.inference_mode():
            tokens = model.generate(source, attention_mask=mask, generation_config=generation)
        return tokens.shape[1] - 1

    report(cell, decode)


def config(size):
    sizes = SIZES[size]
    return MarianConfig(
        vocab_size=VOCABULARY[size],
        d_model=sizes["embedding_dim"],
        encoder_layers=sizes["num_encoder_layers"],
        decoder_layers=sizes["num_decoder_layers"],
        encoder_attention_heads=sizes["num_heads"],
        decoder_attention_heads=sizes["num_heads"],
        encoder_ffn_dim=sizes["hidden_dim"],
        decoder_ffn_dim=sizes["hidden_dim"],
        activation_function="relu",
        decoder_start_token_id=START,
        eos_token_id=END,
        pad_token_id=0,
        forced_eos_token_id=None,
        scale_embedding=True,
    )


main(cell())
