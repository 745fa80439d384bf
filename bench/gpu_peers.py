"""What PyTorch needs for the rows of bench/gpu-shapes.mjs.

Reads rows as JSON from standard input, writes one JSON object a line: {id, peer, us} or {id, peer, error}. `--probe`
writes PyTorch's version, or fails with the reason. Attention: scaled_dot_product_attention with each backend that can
take the mask, and FlexAttention, compiled for each shape.
"""

import argparse
import json
import os
import sys
import time

SMALL = os.environ.get("HEDDLE_BENCH") == "small"
ROUND_MS = 0 if SMALL else 20
MAX_CALLS = 256
FLEX_FIRST = 8
MAX_MATH_LENGTH = 4096  # its scores are a matrix

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    sys.exit(f"python3 has no PyTorch: {error}")

if not torch.cuda.is_available() and not SMALL:
    sys.exit(f"PyTorch {torch.__version__} sees no GPU")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def describe():
    if DEVICE == "cpu":
        return f"PyTorch {torch.__version__} on the CPU"
    return f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def time_calls(call, count):
    """Milliseconds of `count` calls."""
    if DEVICE == "cpu":
        began = time.perf_counter()
        for i in range(count):
            call(i)
        return 1000 * (time.perf_counter() - began)
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    for i in range(count):
        call(i)
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def time_call(call, sets):
    """Median microseconds of one call: the method of gpu-measure.mjs."""
    time_calls(call, sets)
    guess = time_calls(call, 1)
    if guess < ROUND_MS:
        guess = time_calls(call, 8) / 8
    count = max(1, min(MAX_CALLS, round(ROUND_MS / max(guess, 1e-6))))
    number = 5 if guess < ROUND_MS else 3
    rounds = sorted(time_calls(call, count) / count for _ in range(number))
    return 1000 * rounds[number // 2]


def random(*shape):
    """In [-1, 1): zeros would be faster than what models multiply."""
    return torch.rand(shape, device=DEVICE, dtype=torch.bfloat16) * 2 - 1


def documents_of(row):
    return torch.arange(row["T"], device=DEVICE) * row["documents"] // row["T"]


def mask_mod(row):
    """For FlexAttention: whether query i may attend to key j."""
    window = row.get("window")
    if row["mask"] == "causal":
        return lambda b, h, i, j: j <= i
    if row["mask"] == "window":
        return lambda b, h, i, j: (j <= i) & (j > i - window)
    documents = documents_of(row)
    return lambda b, h, i, j: (j <= i) & (documents[i] == documents[j])


def dense_mask(row):
    """The same as a matrix, for backends that know no patterns."""
    i = torch.arange(row["T"], device=DEVICE)[:, None]
    j = torch.arange(row["T"], device=DEVICE)[None, :]
    return mask_mod(row)(0, 0, i, j)


def sdpa(name, q, k, v, **options):
    for other, enable in BACKENDS.items():
        enable(other == name)
    gqa = q.shape[1] != k[0].shape[1]
    return lambda i: F.scaled_dot_product_attention(q, k[i % len(k)], v[i % len(v)], enable_gqa=gqa, **options)


BACKENDS = {
    "flash": torch.backends.cuda.enable_flash_sdp,
    "cudnn": torch.backends.cuda.enable_cudnn_sdp,
    "efficient": torch.backends.cuda.enable_mem_efficient_sdp,
    "math": torch.backends.cuda.enable_math_sdp,
}


def operands(row):
    T, D = row["T"], row["D"]
    return random(1, row["H"], T, D), random(1, row["Hkv"], T, D), random(1, row["Hkv"], T, D)


def attention(row):
    """Peers of a row: (name, function that gives the call)."""
    is_pattern = row["mask"] in ("window", "documents")
    for name in BACKENDS:
        if name == "flash" and is_pattern:
            continue  # takes no matrix
        if name == "math" and row["T"] > MAX_MATH_LENGTH:
            continue

        def make(name=name):
            q, k, v = operands(row)
            options = {"attn_mask": dense_mask(row)} if is_pattern else {"is_causal": row["mask"] == "causal"}
            return sdpa(name, q, [k], [v], **options)

        yield name, make


def decode(row):
    """Dense keys and values; no pages."""
    for name in BACKENDS:

        def make(name=name):
            shape = (row["batch"], row["Hkv"], row["keys"], row["D"])
            k, v = ([random(*shape) for _ in range(row["sets"])] for _ in range(2))
            return sdpa(name, random(row["batch"], row["H"], 1, row["D"]), k, v)

        yield name, make


def flex(row):
    import torch._dynamo
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch._dynamo.reset()  # or the many shapes pass its limit of compilations
    q, k, v = operands(row)
    T = row["T"]
    block_mask = None
    if row["mask"] != "dense":
        block_mask = create_block_mask(mask_mod(row), None, None, T, T, device=DEVICE)
    compiled = torch.compile(flex_attention, dynamic=False, fullgraph=True)
    return lambda i: compiled(q, k, v, block_mask=block_mask, enable_gqa=row["H"] != row["Hkv"])


def layer_norm(row):
    def make():
        width = row["width"]
        inputs = [random(row["rows"], width) for _ in range(row["sets"])]
        weight, bias = random(width), random(width)
        return lambda i: F.layer_norm(inputs[i % len(inputs)], (width,), weight, bias)

    yield "F.layer_norm", make


def linear(row):
    def make():
        x = random(row["m"], row["k"])
        weights = [random(row["n"], row["k"]) for _ in range(row["sets"])]
        return lambda i: F.linear(x, weights[i % len(weights)])

    yield "F.linear", make


def copy(row):
    def make():
        x = random(row["elements"])
        y = torch.empty_like(x)
        return lambda i: y.copy_(x)

    yield "copy_", make


PEERS = {"attention": attention, "decode": decode, "layer_norm": layer_norm, "linear": linear, "copy": copy}


def measure(row, peer, make, until):
    result = {"id": row["id"], "peer": peer}
    try:
        if time.monotonic() > until:
            raise TimeoutError("not measured: out of time")
        result["us"] = time_call(make(), row["sets"])
    except Exception as error:  # which shapes a backend refuses is a result
        result["error"] = (str(error).strip() or type(error).__name__).split("\n")[0][:200]
    print(json.dumps(result), flush=True)


def flex_order(row):
    """Most telling first, while time lasts: masks that the others do not know, wide heads, few keys' heads."""
    masks = ["window", "documents", "causal", "dense"]
    lengths = [8192, 2048, 16384, 4096, 1024, 512]
    length = lengths.index(row["T"]) if row["T"] in lengths else len(lengths)
    return (length, -row["D"], row["Hkv"], masks.index(row["mask"]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--probe", action="store_true")
    parser.add_argument("--seconds", type=float, default=100)
    args = parser.parse_args()
    if args.probe:
        print(describe())
        return
    until = time.monotonic() + args.seconds
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    rows = json.load(sys.stdin)
    jobs = [(row, name, make) for row in rows if row["kind"] in PEERS for name, make in PEERS[row["kind"]](row)]
    by_flex = sorted((row for row in rows if row["kind"] == "attention"), key=flex_order)
    compiled = [(row, "flex", lambda row=row: flex(row)) for row in by_flex]
    # Compiling takes seconds a shape: a few first, the rest while time lasts.
    for row, peer, make in compiled[:FLEX_FIRST] + jobs + compiled[FLEX_FIRST:]:
        measure(row, peer, make, until)


main()
