"""Writes a tiny language model of random weights, in the GGUF format that llama.cpp loads.

Llama's architecture with two layers of 64 numbers, and a vocabulary of bytes: it reads any
text and writes noise, in half a megabyte. It is made on the spot so that no weights have to
be fetched or kept.
"""

import sys
from pathlib import Path

import gguf
import numpy

LAYERS = 2
WIDTH = 64
HEADS = 2
HIDDEN = 128
CONTEXT_TOKENS = 8192
SEED = 7

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}"
    "{% endfor %}assistant: "
)


def vocabulary() -> tuple[list[str], list[float], list[gguf.TokenType]]:
    """SentencePiece's smallest: three signs of its own, every byte, and every ASCII letter."""
    special = ["<unk>", "<s>", "</s>"]
    raw = [f"<0x{byte:02X}>" for byte in range(256)]
    # A space is "▁" there.
    letters = ["▁"] + [chr(code) for code in range(0x21, 0x7F)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * len(raw) + [gguf.TokenType.NORMAL] * len(letters)
    tokens = special + raw + letters
    return tokens, [0.0] * len(tokens), kinds


def write(path: Path, chat_template: str = CHAT_TEMPLATE) -> None:
    """Writes the model; the same bytes each time."""
    tokens, scores, kinds = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    # Their places in the vocabulary.
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(chat_template)
    for name, tensor in weights(len(tokens)):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def weights(vocab: int):
    """Every tensor with its name."""
    lots = numpy.random.default_rng(SEED)

    def drawn(*shape: int) -> numpy.ndarray:
        return lots.normal(0, WIDTH**-0.5, shape).astype(numpy.float32)

    ones = numpy.ones(WIDTH, dtype=numpy.float32)
    yield "token_embd.weight", drawn(vocab, WIDTH)
    for layer in range(LAYERS):
        yield f"blk.{layer}.attn_norm.weight", ones
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{part}.weight", drawn(WIDTH, WIDTH)
        yield f"blk.{layer}.ffn_norm.weight", ones
        yield f"blk.{layer}.ffn_gate.weight", drawn(HIDDEN, WIDTH)
        yield f"blk.{layer}.ffn_up.weight", drawn(HIDDEN, WIDTH)
        yield f"blk.{layer}.ffn_down.weight", drawn(WIDTH, HIDDEN)
    yield "output_norm.weight", ones
    yield "output.weight", drawn(vocab, WIDTH)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
