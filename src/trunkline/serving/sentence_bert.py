"""Turns a BERT sentence encoder (safetensors and its word pieces) into the GGUF that the engine reads.

The names, types and word-piece spelling are those of llama.cpp's `convert_hf_to_gguf.py` (`BertModel`). Format of the
source: https://huggingface.co/docs/safetensors (a length, a JSON header, the tensors). Needs neither torch nor the hub.
"""

from __future__ import annotations

import json
import secrets
import struct
from pathlib import Path
from typing import Any

from trunkline.errors import EngineUnusable

_EMBEDDINGS = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_WHOLE = ("position_embd.weight", "token_types.weight")  # llama.cpp adds these as they are: not in half precision
_DIMENSIONS_OF_HEAD = 32
_NORM_EPSILON = 1e-12


def make_gguf(tensors: Path, vocabulary: Path, name: str, target: Path) -> None:
    """Write the GGUF beside its place and move it there in one step: a half-written one is never found.

    Raises:
        EngineUnusable: `gguf` or `numpy` is not installed, or the source lacks what a BERT encoder has.
        OSError: the target cannot be written.
    """
    try:
        import gguf  # noqa: PLC0415  # comes with the extra
        import numpy as np  # noqa: PLC0415  # comes with the extra
    except ImportError as fault:
        raise EngineUnusable(
            f"the embedded engine is not installed ({fault.name} is missing); run `pip install 'trunkline[engine]'`"
        ) from fault
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    writer = gguf.GGUFWriter(draft, "bert")
    try:
        arrays = _arrays(tensors, np)
        _describe(writer, gguf, name, arrays)
        _spell(writer, gguf, vocabulary.read_text("utf-8").splitlines())
        for source, array in arrays.items():
            if (own := _own_name(source)) is not None:
                half = array.ndim > 1 and own not in _WHOLE
                writer.add_tensor(own, array.astype(np.float16 if half else np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        draft.replace(target)
    except (KeyError, ValueError, struct.error) as fault:
        raise EngineUnusable(f"{tensors} is not the BERT encoder it should be: {fault!r}") from fault
    finally:
        draft.unlink(missing_ok=True)


def _arrays(path: Path, np: Any) -> dict[str, Any]:
    """Map the tensors of a safetensors file; they are read only when used."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    (size,) = struct.unpack("<Q", data[:8].tobytes())
    header = json.loads(data[8 : 8 + size].tobytes())
    body = data[8 + size :]
    types = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
    return {
        name: body[slice(*entry["data_offsets"])].view(types[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _own_name(source: str) -> str | None:
    stem, _, suffix = source.rpartition(".")
    if stem in _EMBEDDINGS and suffix in {"weight", "bias"}:
        return f"{_EMBEDDINGS[stem]}.{suffix}"
    if stem.startswith("encoder.layer."):
        number, _, rest = stem.removeprefix("encoder.layer.").partition(".")
        return f"blk.{number}.{_LAYER[rest]}.{suffix}"
    return None


def _describe(writer: Any, gguf: Any, name: str, arrays: dict[str, Any]) -> None:
    positions, width = arrays["embeddings.position_embeddings.weight"].shape
    layers = {source.split(".")[2] for source in arrays if source.startswith("encoder.layer.")}
    writer.add_name(name)
    writer.add_context_length(positions)
    writer.add_embedding_length(width)
    writer.add_block_count(len(layers))
    writer.add_feed_forward_length(arrays["encoder.layer.0.intermediate.dense.weight"].shape[0])
    writer.add_head_count(width // _DIMENSIONS_OF_HEAD)
    writer.add_layer_norm_eps(_NORM_EPSILON)
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def _spell(writer: Any, gguf: Any, pieces: list[str]) -> None:
    """Add the word pieces: a piece inside a word loses its `##`, one that begins a word gains U+2581."""
    spelled, types = [], []
    for piece in pieces:
        special = piece.startswith("[") and piece.endswith("]") and len(piece) > 2  # noqa: PLR2004  # `[` and `]` alone are text
        types.append(gguf.TokenType.CONTROL if special else gguf.TokenType.NORMAL)
        if special:
            spelled.append(piece)
        else:
            spelled.append(piece[2:] if piece.startswith("##") else f"\u2581{piece}")
    writer.add_tokenizer_model("bert")
    writer.add_token_list(spelled)
    writer.add_token_types(types)
    writer.add_token_type_count(2)
    writer.add_unk_token_id(pieces.index("[UNK]"))
    writer.add_bos_token_id(pieces.index("[CLS]"))
    writer.add_sep_token_id(pieces.index("[SEP]"))
    writer.add_pad_token_id(pieces.index("[PAD]"))
    writer.add_mask_token_id(pieces.index("[MASK]"))
