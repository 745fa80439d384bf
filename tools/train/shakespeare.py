#!/usr/bin/env python3
"""Train the built-in character model and write it as a Hugging Face GPT-2 folder.

    python3 tools/train/shakespeare.py --text input.txt --out models/shakespeare

A GPT-2 decoder (pre-norm, tied head, exact gelu) over the characters of tinyshakespeare. The first 90 % of the
text is trained on; the loss is reported on the last 10 %, in non-overlapping windows of the context, in nats per
character. Matrix products run in bfloat16, the residual stream, layer norms and master weights in float32.
Needs PyTorch >= 1.13 and nothing else. The run is fixed by the seed and the number of steps, not by the clock.
"""
import argparse
import json
import math
import os
import struct
import time

import numpy as np
import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--text", required=True, help="the training text (tinyshakespeare)")
parser.add_argument("--out", required=True, help="folder to write")
parser.add_argument("--layers", type=int, default=3)
parser.add_argument("--width", type=int, default=192)
parser.add_argument("--heads", type=int, default=3)
parser.add_argument("--inner", type=int, default=608, help="feed-forward width")
parser.add_argument("--context", type=int, default=256)
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--steps", type=int, default=20000)
parser.add_argument("--warmup", type=int, default=200)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--weight-decay", type=float, default=0.1)
parser.add_argument("--dropout", type=float, default=0.15)
parser.add_argument("--clip", type=float, default=1.0, help="largest norm of the gradient")
parser.add_argument("--seed", type=int, default=1337)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--report-every", type=int, default=1000, help="steps between reports")
args = parser.parse_args()

BETA1, BETA2, ADAM_EPS, NORM_EPS = 0.9, 0.99, 1e-8, 1e-5
torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)
rng = np.random.default_rng(args.seed)

with open(args.text, encoding="utf-8") as file:
    text = file.read()
chars = sorted(set(text))
char_ids = {char: index for index, char in enumerate(chars)}
ids = torch.tensor([char_ids[char] for char in text])
split = int(0.9 * len(ids))
train_ids, validation_ids = ids[:split], ids[split:]


def parameter_table():
    """(name, shape, standard deviation or None for ones, weight decay?) in GPT2LMHeadModel's names and layout."""
    d, inner = args.width, args.inner
    std = 0.02 * math.sqrt(384 / d)
    residual_std = std / math.sqrt(2 * args.layers)  # GPT-2 paper, section 2.3
    rows = [("wte.weight", (len(chars), d), 0.02, True), ("wpe.weight", (args.context, d), 0.02, False)]
    for layer in range(args.layers):
        p = f"h.{layer}."
        rows += [
            (p + "ln_1.weight", (d,), None, False), (p + "ln_1.bias", (d,), 0.0, False),
            (p + "attn.c_attn.weight", (d, 3 * d), std, True), (p + "attn.c_attn.bias", (3 * d,), 0.0, False),
            (p + "attn.c_proj.weight", (d, d), residual_std, True), (p + "attn.c_proj.bias", (d,), 0.0, False),
            (p + "ln_2.weight", (d,), None, False), (p + "ln_2.bias", (d,), 0.0, False),
            (p + "mlp.c_fc.weight", (d, inner), std, True), (p + "mlp.c_fc.bias", (inner,), 0.0, False),
            (p + "mlp.c_proj.weight", (inner, d), residual_std, True), (p + "mlp.c_proj.bias", (d,), 0.0, False),
        ]
    return rows + [("ln_f.weight", (d,), None, False), ("ln_f.bias", (d,), 0.0, False)]


TABLE = parameter_table()
SIZES = [int(np.prod(shape)) for _, shape, _, _ in TABLE]


def unflatten(vector):
    """One flat vector of all parameters -> {name: tensor view}."""
    return {row[0]: part.view(row[1]) for row, part in zip(TABLE, vector.split(SIZES))}


# One flat vector keeps AdamW to a handful of large element-wise calls.
weights = torch.cat([torch.ones(n) if std is None else torch.randn(n) * std for (_, _, std, _), n in zip(TABLE, SIZES)])
decays = torch.cat([torch.full((n,), float(decay)) for (_, _, _, decay), n in zip(TABLE, SIZES)])

# Drawing a mask per activation costs more than the products here: slices of one fixed pool serve instead.
mask_pool = (torch.rand(1 << 24) >= args.dropout).float() / (1 - args.dropout)
causal = torch.full((args.context, args.context), float("-inf")).triu(1)


def dropout(x):
    start = int(rng.integers(0, mask_pool.numel() - x.numel()))
    return x * mask_pool[start:start + x.numel()].view(x.shape)


def forward(vector, tokens, dtype, training):
    """tokens [B, T] -> float32 logits [B * T, V]; matrix products in `dtype`."""
    p = unflatten(vector)
    w = p if dtype == torch.float32 else unflatten(vector.to(dtype))
    drop = dropout if training and args.dropout > 0 else (lambda x: x)
    batch, length = tokens.shape
    d, heads = args.width, args.heads
    mask = causal[:length, :length].to(dtype).expand(batch * heads, length, length)
    x = drop(F.embedding(tokens, p["wte.weight"]) + p["wpe.weight"][:length]).view(batch * length, d)
    for layer in range(args.layers):
        n = f"h.{layer}."
        y = F.layer_norm(x, (d,), p[n + "ln_1.weight"], p[n + "ln_1.bias"], NORM_EPS).to(dtype)
        y = torch.addmm(w[n + "attn.c_attn.bias"], y, w[n + "attn.c_attn.weight"])
        q, k, v = (y.view(batch, length, 3, heads, d // heads).permute(2, 0, 3, 1, 4).contiguous()
                   .view(3, batch * heads, length, d // heads).unbind(0))
        scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=1 / math.sqrt(d // heads)).softmax(-1)
        y = torch.bmm(scores, v).view(batch, heads, length, d // heads).transpose(1, 2).reshape(batch * length, d)
        x = x + drop(torch.addmm(w[n + "attn.c_proj.bias"], y, w[n + "attn.c_proj.weight"]))
        y = F.layer_norm(x, (d,), p[n + "ln_2.weight"], p[n + "ln_2.bias"], NORM_EPS).to(dtype)
        y = F.gelu(torch.addmm(w[n + "mlp.c_fc.bias"], y, w[n + "mlp.c_fc.weight"]))
        x = x + drop(torch.addmm(w[n + "mlp.c_proj.bias"], y, w[n + "mlp.c_proj.weight"]))
    x = F.layer_norm(x, (d,), p["ln_f.weight"], p["ln_f.bias"], NORM_EPS).to(dtype)
    return (x @ w["wte.weight"].t()).float()


@torch.no_grad()
def validation_loss(vector, dtype):
    """Mean loss over every character of the validation text but its first, windows of `context`, the last one short."""
    count = len(validation_ids) - 1
    total = 0.0
    for start in range(0, count, 32 * args.context):
        chunk = validation_ids[start:min(start + 32 * args.context, count) + 1]
        whole = (len(chunk) - 1) // args.context * args.context
        for begin, end, rows in ((0, whole, whole // args.context), (whole, len(chunk) - 1, 1)):
            if end > begin:
                logits = forward(vector, chunk[begin:end].view(rows, -1), dtype, False)
                total += F.cross_entropy(logits, chunk[begin + 1:end + 1], reduction="sum").double().item()
    return total / count


def train():
    offsets = torch.arange(args.context + 1)
    first, second = torch.zeros_like(weights), torch.zeros_like(weights)
    began, mean_loss = time.time(), 0.0
    for step in range(1, args.steps + 1):
        lr = args.lr * min(1.0, step / args.warmup) * 0.5 * (1 + math.cos(math.pi * (step - 1) / args.steps))
        starts = torch.from_numpy(rng.integers(0, split - args.context - 1, size=args.batch))
        window = train_ids[starts[:, None] + offsets]
        leaf = weights.detach().clone().requires_grad_()
        loss = F.cross_entropy(forward(leaf, window[:, :-1], torch.bfloat16, True), window[:, 1:].reshape(-1))
        loss.backward()
        gradient = leaf.grad
        gradient.mul_(min(1.0, args.clip / (gradient.norm().item() + 1e-12)))
        first.lerp_(gradient, 1 - BETA1)
        second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        denominator = (second / (1 - BETA2**step)).sqrt_().add_(ADAM_EPS)
        weights.addcmul_(weights, decays, value=-lr * args.weight_decay)
        weights.addcdiv_(first, denominator, value=-lr / (1 - BETA1**step))
        mean_loss += loss.item() / args.report_every
        if step % args.report_every == 0:
            print(f"step {step}  {(time.time() - began) / 60:.1f} min  train {mean_loss:.4f}  "
                  f"validation {validation_loss(weights, torch.bfloat16):.4f}", flush=True)
            mean_loss = 0.0


def write_folder(rounded):
    """model.safetensors (bfloat16), config.json, tokenizer.json, tokenizer_config.json, generation_config.json."""
    os.makedirs(args.out, exist_ok=True)

    def write_json(name, value):
        with open(os.path.join(args.out, name), "w", encoding="utf-8") as out:
            json.dump(value, out, indent=2, ensure_ascii=False)
            out.write("\n")

    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for (name, shape, _, _), size in zip(TABLE, SIZES):
        header["transformer." + name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + 2 * size]}
        offset += 2 * size
    text_header = json.dumps(header, separators=(",", ":")).encode()
    text_header += b" " * (-len(text_header) % 8)
    with open(os.path.join(args.out, "model.safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(text_header)) + text_header)
        out.write((rounded.numpy().view(np.uint32) >> 16).astype("<u2").tobytes())
    write_json("config.json", {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": len(chars),
        "n_positions": args.context, "n_embd": args.width, "n_layer": args.layers, "n_head": args.heads,
        "n_inner": args.inner, "activation_function": "gelu", "layer_norm_epsilon": NORM_EPS,
        "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": None, "torch_dtype": "bfloat16"})
    write_json("generation_config.json", {"do_sample": True, "temperature": 0.8, "top_p": 0.95})
    write_json("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": args.context,
                                         "clean_up_tokenization_spaces": False})
    write_json("tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": False},
        "post_processor": None, "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": char_ids, "unk_token": "?"}})


print(json.dumps({**vars(args), "parameters": weights.numel(), "vocabulary": len(chars)}), flush=True)
train()
rounded_weights = weights.bfloat16().float()
write_folder(rounded_weights)
print(json.dumps({"validation_loss_bfloat16_weights_float32_arithmetic": validation_loss(rounded_weights, torch.float32),
                  "validation_loss_float32_weights_bfloat16_arithmetic": validation_loss(weights, torch.bfloat16)}))
