"""PyTorch on the CPU, as an engine: answers what bench/child.mjs answers, a line of JSON a question.

    python3 torch_engine.py           measures
    python3 torch_engine.py --probe   prints the version
"""

import json
import os
import resource
import sys
import time

import torch
import torch.nn.functional as F

SAMPLE_S = 0.005
WARM_UP_S = 0.3  # layer norm's first seven calls take thirty times as long as the others
MAX_CALLS = 256


def layer_norm(task):
    """Over `sets` inputs in turn."""
    inputs = [torch.randn(task["rows"], task["width"]) for _ in range(task["sets"])]
    weight, bias = torch.randn(task["width"]), torch.randn(task["width"])
    return lambda i: F.layer_norm(inputs[i % len(inputs)], weight.shape, weight, bias)


def attention(task):
    """The fused one where this version has it, else as it is written down."""
    T, D = task["length"], task["width"]
    q, k, v = (torch.randn(1, task["heads"], T, D).to(getattr(torch, task["dtype"])) for _ in range(3))
    causal = task["mask"] == "causal"
    if hasattr(F, "scaled_dot_product_attention"):
        return lambda i: F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    mask = torch.full((T, T), float("-inf")).triu(1).to(q.dtype) if causal else None

    def written_down(i):
        scores = q @ k.transpose(-1, -2) * D**-0.5
        return (scores if mask is None else scores + mask).softmax(-1) @ v

    return written_down


TASKS = {"layerNorm": layer_norm, "attention": attention}


class Measured:
    def __init__(self, call):
        self.call, self.calls, self.next = call, 1, 0
        until = time.perf_counter() + WARM_UP_S
        while time.perf_counter() < until:
            seconds = self.sample()["ms"] / 1000
        self.calls = max(1, min(MAX_CALLS, round(SAMPLE_S / seconds)))

    def sample(self):
        began, cpu = time.perf_counter(), cpu_seconds()
        for _ in range(self.calls):
            self.call(self.next)
            self.next += 1
        ms, cpu_ms = 1000 * (time.perf_counter() - began), 1000 * (cpu_seconds() - cpu)
        return {"ms": ms / self.calls, "cpuMs": cpu_ms / self.calls}

    def turn(self, turn_ms):
        until = time.perf_counter() + turn_ms / 1000
        samples = [self.sample()]
        while time.perf_counter() < until:
            samples.append(self.sample())
        return {"samples": samples}


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main():
    torch.set_num_threads(int(os.environ["HEDDLE_NUM_THREADS"]))
    torch.set_grad_enabled(False)
    measured = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "open" in question:
                measured = Measured(TASKS[question["open"]["kind"]](question["open"]))
                answer = {}
            elif "turn" in question:
                answer = measured.turn(question["turn"])
            else:
                measured, answer = None, {}
        except Exception as error:  # the row says so
            answer = {"error": str(error).split("\n")[0]}
        print(json.dumps(answer), flush=True)


if sys.argv[1:] == ["--probe"]:
    print(torch.__version__)
else:
    main()
