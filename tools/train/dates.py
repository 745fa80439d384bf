#!/usr/bin/env python3
"""Train the built-in model that reads dates and write it as a Hugging Face T5 folder.

    python3 tools/train/dates.py --out models/dates --pairs test/models/dates.json

A T5 encoder-decoder (pre-norm, RMS norm, relative positions, tied head) over characters, from dates as people write
them to ISO 8601 (dates_text.py). No text of the held-out pairs, which --pairs names a file for, is ever trained on.
Matrix products run in bfloat16, the residual stream, norms, softmax and master weights in float32. Needs PyTorch >=
1.13 and nothing else. The run is fixed by the seed and the number of steps, not by the clock.
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

from dates_text import pairs

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", required=True, help="folder to write")
parser.add_argument("--pairs", help="file to write the held-out pairs to")
parser.add_argument("--held-out", type=int, default=2000, help="held-out pairs")
parser.add_argument("--encoder-layers", type=int, default=3)
parser.add_argument("--decoder-layers", type=int, default=2)
parser.add_argument("--width", type=int, default=96)
parser.add_argument("--heads", type=int, default=4)
parser.add_argument("--inner", type=int, default=256, help="feed-forward width")
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--steps", type=int, default=9000)
parser.add_argument("--warmup", type=int, default=300)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--weight-decay", type=float, default=0.01)
parser.add_argument("--clip", type=float, default=1.0, help="largest norm of the gradient")
parser.add_argument("--seed", type=int, default=1582)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--report-every", type=int, default=1000, help="steps between reports")
args = parser.parse_args()

BETA1, BETA2, ADAM_EPS, NORM_EPS = 0.9, 0.98, 1e-8, 1e-6
BUCKETS, MAX_DISTANCE, CONTEXT = 32, 64, 64
PAD, EOS, UNKNOWN = 0, 1, 2
CHARS = ["<pad>", "</s>", "<unk>"] + sorted(" '’,-./0123456789abcdefghijklmnopqrstuvwxyzäöüß")
IDS = {char: index for index, char in enumerate(CHARS)}
TARGET_LENGTH = len("2021-03-03") + 1
torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)


def parameter_table():
    """(name, shape, standard deviation or None for ones) in T5ForConditionalGeneration's names."""
    d, inner, head = args.width, args.inner, args.width // args.heads
    rows = [("shared.weight", (len(CHARS), d), 1.0)]
    for side, layers in (("encoder", args.encoder_layers), ("decoder", args.decoder_layers)):
        n = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        rows.append((n, (BUCKETS, args.heads), d**-0.5))
        for block in range(layers):
            for at, part in enumerate(["SelfAttention"] if side == "encoder" else ["SelfAttention", "EncDecAttention"]):
                n = f"{side}.block.{block}.layer.{at}."
                rows += [(f"{n}{part}.{name}.weight", (d, d), std) for name, std in
                         (("q", (d * head)**-0.5), ("k", d**-0.5), ("v", d**-0.5), ("o", d**-0.5))]
                rows.append((n + "layer_norm.weight", (d,), None))
            n = f"{side}.block.{block}.layer.{at + 1}."
            rows += [(n + "DenseReluDense.wi.weight", (inner, d), d**-0.5),
                     (n + "DenseReluDense.wo.weight", (d, inner), inner**-0.5), (n + "layer_norm.weight", (d,), None)]
        rows.append((f"{side}.final_layer_norm.weight", (d,), None))
    return rows


TABLE = parameter_table()
SIZES = [int(np.prod(shape)) for _, shape, _ in TABLE]


def unflatten(vector):
    """One flat vector of all parameters -> {name: tensor view}."""
    return {row[0]: part.view(row[1]) for row, part in zip(TABLE, vector.split(SIZES))}


# One flat vector keeps AdamW to a handful of large element-wise calls.
weights = torch.cat([torch.ones(n) if std is None else torch.randn(n) * std for (_, _, std), n in zip(TABLE, SIZES)])
decays = torch.cat([torch.full((n,), float(len(shape) == 2)) for (_, shape, _), n in zip(TABLE, SIZES)])


def buckets(length, bidirectional):
    """[length, length] bucket of the distance from query to key (T5, section 2.1)."""
    count, places = (BUCKETS // 2 if bidirectional else BUCKETS), torch.arange(length)
    distance = places[None, :] - places[:, None]
    side = (distance > 0).long() * count if bidirectional else 0
    distance = distance.abs() if bidirectional else (-distance).clamp(min=0)
    exact = count // 2
    far = exact + (torch.log(distance.clamp(min=1) / exact) / math.log(MAX_DISTANCE / exact) * (count - exact)).long()
    return side + torch.where(distance < exact, distance, far.clamp(max=count - 1))


ENCODER_BUCKETS, DECODER_BUCKETS = buckets(CONTEXT, True), buckets(TARGET_LENGTH, False)
CAUSAL = torch.full((TARGET_LENGTH, TARGET_LENGTH), float("-inf")).triu(1)


def norm(x, weight):
    return (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPS) * weight).bfloat16()


def project(x, weight, parts=1):
    """x [B, T, C] -> [B, parts, T, C / parts]"""
    return (x @ weight.t()).view(*x.shape[:2], parts, -1).transpose(1, 2)


def attend(w, n, x, memory, bias):
    """x [B, Tq, C], memory [B, Tk, C]; bias [B or 1, H or 1, Tq or 1, Tk] is added to the unscaled scores."""
    q = project(x, w[n + "q.weight"], args.heads)
    k, v = (project(memory, w[f"{n}{name}.weight"], args.heads) for name in "kv")
    y = ((q @ k.transpose(2, 3)).float() + bias).softmax(-1).to(x.dtype) @ v
    return y.transpose(1, 2).reshape(x.shape) @ w[n + "o.weight"].t()


def forward(vector, sources, targets):
    """sources [B, S] padded, targets [B, T] -> logits [B * T, V] of what comes behind each target."""
    p, w = unflatten(vector), unflatten(vector.bfloat16())
    decoder_inputs = F.pad(targets[:, :-1], (1, 0), value=PAD)
    length, steps = sources.shape[1], targets.shape[1]
    hidden = torch.zeros(sources.shape).masked_fill(sources == PAD, float("-inf"))[:, None, None, :]

    def stack(side, layers, ids, own_bias, memory):
        x = F.embedding(ids, p["shared.weight"])
        for block in range(layers):
            n = f"{side}.block.{block}.layer."
            y = norm(x, p[n + "0.layer_norm.weight"])
            x = x + attend(w, n + "0.SelfAttention.", y, y, own_bias)
            if memory is not None:
                y = norm(x, p[n + "1.layer_norm.weight"])
                x = x + attend(w, n + "1.EncDecAttention.", y, memory, hidden)
            n += "1." if memory is None else "2."
            y = norm(x, p[n + "layer_norm.weight"]) @ w[n + "DenseReluDense.wi.weight"].t()
            x = x + y.relu() @ w[n + "DenseReluDense.wo.weight"].t()
        return norm(x, p[f"{side}.final_layer_norm.weight"])

    def relative(side, table):
        return p[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"][table].permute(2, 0, 1)[None]

    bias = relative("encoder", ENCODER_BUCKETS[:length, :length]) + hidden
    memory = stack("encoder", args.encoder_layers, sources, bias, None)
    bias = relative("decoder", DECODER_BUCKETS[:steps, :steps]) + CAUSAL[:steps, :steps]
    y = stack("decoder", args.decoder_layers, decoder_inputs, bias, memory)
    return ((y * args.width**-0.5).view(-1, args.width) @ w["shared.weight"].t()).float()


def tensors(batch):
    """Pairs -> padded sources, targets; each ends with EOS."""
    rows = [[IDS.get(char, UNKNOWN) for char in text.lower()] + [EOS] for text, _ in batch]
    longest = max(map(len, rows))
    return (torch.tensor([row + [PAD] * (longest - len(row)) for row in rows]),
            torch.tensor([[IDS[char] for char in date] + [EOS] for _, date in batch]))


@torch.no_grad()
def accuracy(vector, held_out):
    """The share of texts whose date greedy search gives exactly."""
    right = 0
    for start in range(0, len(held_out), 200):
        sources, targets = tensors(held_out[start:start + 200])
        found = torch.full_like(targets, PAD)
        for step in range(TARGET_LENGTH):
            logits = forward(vector, sources, found[:, :step + 1]).view(len(sources), step + 1, -1)
            found[:, step] = logits[:, step].argmax(-1)
        right += (found == targets).all(1).sum().item()
    return right / len(held_out)


def batches():
    """Batches of texts of similar length, so that little is padded."""
    stream, rng = pairs(args.seed, held_out=False), np.random.default_rng(args.seed)
    while True:
        pool = sorted((next(stream) for _ in range(16 * args.batch)), key=lambda one: len(one[0]))
        for start in rng.permutation(16) * args.batch:
            yield tensors(pool[start:start + args.batch])


def train(held_out):
    first, second = torch.zeros_like(weights), torch.zeros_like(weights)
    began, mean_loss, batch = time.time(), 0.0, batches()
    for step in range(1, args.steps + 1):
        lr = args.lr * min(1.0, step / args.warmup) * 0.5 * (1 + math.cos(math.pi * (step - 1) / args.steps))
        sources, targets = next(batch)
        leaf = weights.detach().clone().requires_grad_()
        loss = F.cross_entropy(forward(leaf, sources, targets), targets.view(-1))
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
            print(f"step {step}  {(time.time() - began) / 60:.1f} min  train {mean_loss:.5f}  "
                  f"exact {accuracy(weights, held_out):.4f}", flush=True)
            mean_loss = 0.0


def write_folder(rounded):
    """model.safetensors (bfloat16), config.json, tokenizer.json, tokenizer_config.json, generation_config.json."""
    os.makedirs(args.out, exist_ok=True)

    def write_json(name, value):
        with open(os.path.join(args.out, name), "w", encoding="utf-8") as out:
            json.dump(value, out, indent=2, ensure_ascii=False)
            out.write("\n")

    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for (name, shape, _), size in zip(TABLE, SIZES):
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + 2 * size]}
        offset += 2 * size
    text_header = json.dumps(header, separators=(",", ":")).encode()
    text_header += b" " * (-len(text_header) % 8)
    with open(os.path.join(args.out, "model.safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(text_header)) + text_header)
        out.write((rounded.numpy().view(np.uint32) >> 16).astype("<u2").tobytes())
    tokens = {"pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": PAD}
    write_json("config.json", {
        "architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True,
        "vocab_size": len(CHARS), "n_positions": CONTEXT, "d_model": args.width, "d_kv": args.width // args.heads,
        "d_ff": args.inner, "num_layers": args.encoder_layers, "num_decoder_layers": args.decoder_layers,
        "num_heads": args.heads, "relative_attention_num_buckets": BUCKETS,
        "relative_attention_max_distance": MAX_DISTANCE, "feed_forward_proj": "relu", "layer_norm_epsilon": NORM_EPS,
        "dropout_rate": 0.0, "tie_word_embeddings": True, **tokens, "torch_dtype": "bfloat16"})
    write_json("generation_config.json", {"max_length": TARGET_LENGTH + 1, **tokens})
    special = {"pad_token": CHARS[PAD], "eos_token": CHARS[EOS], "unk_token": CHARS[UNKNOWN]}
    write_json("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT,
                                         "clean_up_tokenization_spaces": False, **special})
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    end = {"SpecialToken": {"id": CHARS[EOS], "type_id": 0}}
    a, b = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    write_json("tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": index, "content": CHARS[index], **flags} for index in (PAD, EOS, UNKNOWN)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing", "single": [a, end], "pair": [a, end, b, end],
            "special_tokens": {CHARS[EOS]: {"id": CHARS[EOS], "ids": [EOS], "tokens": [CHARS[EOS]]}}},
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": IDS, "unk_token": CHARS[UNKNOWN]}})


def held_out_pairs():
    """So many different texts, of another random stream than the training's, and none that it has."""
    found, stream = {}, pairs(args.seed + 1, held_out=True)
    while len(found) < args.held_out:
        text, date = next(stream)
        found.setdefault(text.lower(), (text, date))
    return list(found.values())


print(json.dumps({**vars(args), "parameters": weights.numel(), "vocabulary": len(CHARS)}), flush=True)
held_out = held_out_pairs()
if args.pairs:
    with open(args.pairs, "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in held_out) + "\n]\n")
train(held_out)
rounded_weights = weights.bfloat16().float()
write_folder(rounded_weights)
print(json.dumps({"exact": accuracy(rounded_weights, held_out)}))
