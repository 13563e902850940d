"""Small checkpoints that tests write: a Llama's tensors by shape, real or sparse."""

import json
import struct
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def llama_config(hidden=256, intermediate=512, layers=2, vocabulary=1024, **more):
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "vocab_size": vocabulary,
        **more,
    }


def llama_shapes(hidden=256, intermediate=512, layers=2, vocabulary=1024):
    shapes = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    for i in range(layers):
        at = f"model.layers.{i}"
        shapes |= {
            f"{at}.self_attn.q_proj.weight": (hidden, hidden),
            f"{at}.self_attn.k_proj.weight": (hidden // 2, hidden),
            f"{at}.self_attn.v_proj.weight": (hidden // 2, hidden),
            f"{at}.self_attn.o_proj.weight": (hidden, hidden),
            f"{at}.mlp.gate_proj.weight": (intermediate, hidden),
            f"{at}.mlp.up_proj.weight": (intermediate, hidden),
            f"{at}.mlp.down_proj.weight": (hidden, intermediate),
            f"{at}.input_layernorm.weight": (hidden,),
        }
    return shapes


def write(folder: Path, config: dict, shapes: dict) -> Path:
    """A folder with float16 zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({n: np.zeros(s, np.float16) for n, s in shapes.items()}, folder / "model.safetensors")
    return folder


def write_sparse(folder: Path, config: dict, shapes: dict) -> Path:
    """The same with a file that only claims its size: no disk is used."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape, dtype=np.int64))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    return folder


def write_random(folder: Path, config: dict, shapes: dict, seed: int = 0) -> Path:
    """A folder with random weights in bfloat16, as large as a fresh model's; norms are ones."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    drawn, header, values = np.random.default_rng(seed), {}, []
    for name, shape in shapes.items():
        value = np.ones(shape) if len(shape) == 1 else drawn.normal(0, shape[-1] ** -0.5, shape)
        values.append((value.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16))
        at = header[next(reversed(header))]["data_offsets"][1] if header else 0
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + values[-1].nbytes]}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in values:
            file.write(value.tobytes())
    return folder
