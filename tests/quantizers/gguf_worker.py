"""Workers of the GGUF tests: small random models by transformers, and the same by llama.cpp; tokenizers by both.

``reference`` runs in the quantise environment, the others in llama.cpp's.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from workbench.builtin import text
from workbench.quality.measure import divergence

#: Sizes that differ wherever a mistake could hide: a head_dim that is not hidden / heads, fewer KV heads, an MLP of
#: another width.
SIZES = {
    "hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 32,
    "intermediate_size": 160, "vocab_size": 10240, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False, "initializer_range": 0.2,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}
#: Name -> model_type, fields, float it is saved in.
MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "llama": ("llama", {"attention_bias": True, "mlp_bias": True}, "float32"),
    "llama3": ("llama", {"rope_parameters": LLAMA3, "tie_word_embeddings": True}, "bfloat16"),
    "linear": ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}, "float16"),
    "mistral": ("mistral", {"sliding_window": None}, "bfloat16"),
    "qwen2": ("qwen2", {"head_dim": None, "rope_parameters": YARN}, "bfloat16"),
    "qwen3": ("qwen3", {"tie_word_embeddings": True}, "bfloat16"),
}
TOKENS = 300


def work(request: dict[str, Any], worker: Any) -> Any:
    return globals()[request["do"]](request, worker.out)


def reference(request: dict[str, Any], out: Path) -> Any:
    """Make each model, with the built-in tokenizer, and keep what transformers says of a line of tokens."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    from workbench.quality.torch_model import load

    torch.manual_seed(0)
    ids = torch.randint(5, SIZES["vocab_size"], (TOKENS,)).tolist()
    for name, (kind, more, dtype) in MODELS.items():
        folder = out / name
        fields = {
            key: value for key, value in {**SIZES, **more}.items() if value is not None or key == "sliding_window"
        }
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **fields)).to(getattr(torch, dtype))
        for weights in model.parameters():  # biases and norms begin as zeros and ones, which hide where they go
            if weights.ndim == 1:
                torch.nn.init.normal_(weights, 1.0, 0.3)
        model.save_pretrained(folder)
        if name == "mistral":  # Mistral's own form lies beside it, under other names
            save_file({"layers.0.wq.weight": torch.zeros(2, 2)}, folder / "consolidated.safetensors")
        for file in Path(request["tokenizer"]).glob("tokenizer*"):
            shutil.copyfile(file, folder / file.name)
        np.save(folder / "said.npy", load(folder, "float32").log_probs(ids, 1))
        (folder / "ids.json").write_text(json.dumps(ids))
    return sorted(MODELS)


def models(request: dict[str, Any], out: Path) -> Any:
    """Convert each and hold llama.cpp's distributions against transformers'."""
    from workbench.quality.llama_model import LlamaModel
    from workbench.quantizers.gguf_writer.convert import convert

    found = {}
    for name in MODELS:
        folder = Path(request["folder"]) / name
        theirs, ids = np.load(folder / "said.npy"), json.loads((folder / "ids.json").read_text())
        for dtype in ("F32", "F16", "BF16"):
            convert(folder, out / f"{name}-{dtype}.gguf", dtype)
            ours = LlamaModel(out / f"{name}-{dtype}.gguf").log_probs(ids, 1)
            found[f"{name}-{dtype}"] = {
                "divergence": float(divergence(theirs, ours).mean()),
                "agreement": float((theirs.argmax(1) == ours.argmax(1)).mean()),
                "spread": float(theirs.std()),
            }
    return found


def tokenizers(request: dict[str, Any], out: Path) -> Any:
    """Train a tokenizer of each kind, convert it, and tokenise the same lines with both."""
    from tokenizers import Tokenizer

    from workbench.quality.llama_model import LlamaModel
    from workbench.quantizers.gguf_writer.convert import convert

    lines = [document.text for document in text.held_out()][:40] + request["lines"]
    found = {}
    for name, made in _trained().items():
        folder = out / name
        folder.mkdir()
        made.save(str(folder / "tokenizer.json"))
        if name in ("llama3", "tekken"):  # the trainer cannot set it
            fields = json.loads((folder / "tokenizer.json").read_text())
            fields["model"]["ignore_merges"] = True
            (folder / "tokenizer.json").write_text(json.dumps(fields))
        _around(folder, made.get_vocab_size() + 3)
        convert(folder, folder / "m.gguf", "F16")
        model, fast = LlamaModel(folder / "m.gguf"), Tokenizer.from_file(str(folder / "tokenizer.json"))
        differing = [line for line in lines if model.tokens(line) != fast.encode(line).ids]
        found[name] = {
            "pre": model.model.metadata["tokenizer.ggml.pre"],
            "model": model.model.metadata["tokenizer.ggml.model"],
            "lines": len(lines),
            "differing": [(line, model.tokens(line), fast.encode(line).ids) for line in differing[:3]],
        }
    return found


def types(request: dict[str, Any], out: Path) -> Any:
    """Make a file of each type; what its headers list, and the size of the file on the way [bytes]."""
    from workbench import headers
    from workbench.quantizers.method import gguf

    found = {}
    for kind in request["types"]:
        made = out / kind
        made.mkdir()
        gguf.quantize(Path(request["folder"]), made, {"type": kind}, [], lambda *_, **__: None)
        listed = headers.read(next(made.glob("*.gguf")))
        on_the_way = (made / gguf.WORK / "original.gguf").stat().st_size
        found[kind] = {"bytes": listed.bytes, "by_type": listed.bytes_by_dtype, "on_the_way": on_the_way}
        shutil.rmtree(made)
    return found


def _trained() -> dict[str, Any]:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    contractions = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    rest = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    cases = (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )

    def split(regex: str) -> Any:
        bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), bytewise])

    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    cuts = {
        "gpt2": gpt2,
        "llama3": split(contractions + r"\p{N}{1,3}" + rest),
        "dbrx": split(contractions + r"\p{N}{1,3}" + rest),
        "qwen2": split(contractions + r"\p{N}" + rest),
        "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2]),
        "tekken": split(cases),
    }
    training = [document.text for document in text.training()][:200]
    made = {}
    for name, cut in cuts.items():
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.NFC() if name == "qwen2" else None
        tokenizer.pre_tokenizer, tokenizer.decoder = cut, decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=700, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(training, trainer)
        made[name] = tokenizer
    for name in ("llama2", "metaspace"):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        if name == "llama2":
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        every = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(
            vocab_size=900, special_tokens=["<unk>", "<s>", "</s>", *every], show_progress=False, max_token_length=16
        )
        # The trainer must see words, or it makes pieces of whole sentences.
        cut, tokenizer.pre_tokenizer = tokenizer.pre_tokenizer, pre_tokenizers.Metaspace()
        kept, tokenizer.normalizer = tokenizer.normalizer, None
        tokenizer.train_from_iterator(training, trainer)
        tokenizer.pre_tokenizer, tokenizer.normalizer = cut, kept
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        made[name] = _bytes_are_pieces(tokenizer)
    for tokenizer in made.values():
        begin = tokenizer.token_to_id("<s>")
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", begin)])
    return made


def _bytes_are_pieces(tokenizer: Any) -> Any:
    """The bytes as pieces of the model, as Llama 2 has them, not as added tokens, which would be matched in text."""
    from tokenizers import Tokenizer

    fields = json.loads(tokenizer.to_str())
    fields["added_tokens"] = [t for t in fields["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(fields))


def _around(folder: Path, vocabulary: int) -> None:
    """A model of next to nothing around a tokenizer."""
    from safetensors.numpy import save_file

    config = {
        "model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "vocab_size": vocabulary, "max_position_embeddings": 128, "tie_word_embeddings": True,
        "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(special))
    layer = "model.layers.0."
    square = [f"{layer}self_attn.{p}_proj" for p in "qkvo"] + [f"{layer}mlp.{p}_proj" for p in ("gate", "up", "down")]
    tensors = {f"{name}.weight": np.zeros((32, 32), np.float16) for name in square}
    norms = [f"{layer}input_layernorm", f"{layer}post_attention_layernorm", "model.norm"]
    tensors |= {f"{name}.weight": np.ones(32, np.float16) for name in norms}
    tensors["model.embed_tokens.weight"] = np.zeros((vocabulary, 32), np.float16)
    save_file(tensors, folder / "model.safetensors")
