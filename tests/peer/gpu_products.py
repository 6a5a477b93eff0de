"""cuDNN's convolutions and cuBLAS's products, one shape at a time, served over stdin and stdout.

    gpu_products.py [--device cuda]

One JSON object a line. It says {"ready": true, "torch": "2.11.0"}, and then answers

    {"convolution": {"n", "h", "w", "c", "k", "r", "stride", "pad", "pass": "fprop"|"dgrad"|"wgrad"},
     "precision": "bf16"|"tf32"|"f32"}     with {"seconds": s}: the best of cuDNN's algorithms, NHWC
    {"product": 8192}                      with {"seconds": s}: bf16, 8192 × 8192 × 8192

Each is captured fifty times as one CUDA graph, replayed until half a second has passed, and the fastest replay counts.
A line that is none of these ends it with status 2; the end of the input ends it.
"""

import argparse
import json
import sys
import time

import torch

REPEATS = 50
SECONDS = 0.3


class Products:
    def __init__(self, device):
        self.device = device
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(0)

    def fastest(self, run, repeats):
        """Seconds of one `run`."""
        if self.device != "cuda":
            start = time.perf_counter()
            run()
            return time.perf_counter() - start
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(3):
                run()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(repeats):
                run()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        graph.replay()
        torch.cuda.synchronize()
        best, since = float("inf"), time.perf_counter()
        while time.perf_counter() - since < SECONDS:
            begin.record()
            graph.replay()
            end.record()
            end.synchronize()
            best = min(best, begin.elapsed_time(end) / 1000 / repeats)
        return best

    def convolution(self, conv, precision):
        n, h, w, c, k, r = (conv[key] for key in "nhwckr")
        stride, pad = [conv["stride"]] * 2, [conv["pad"]] * 2
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        kind = dict(device=self.device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
        draw = lambda *shape: torch.randn(shape, **kind).to(memory_format=torch.channels_last)
        x, weight = draw(n, c, h, w), draw(k, c, r, r)
        if conv["pass"] == "fprop":
            return self.fastest(lambda: torch.nn.functional.conv2d(x, weight, None, stride, pad), REPEATS)
        dy = torch.randn_like(torch.nn.functional.conv2d(x, weight, None, stride, pad))
        asked = [conv["pass"] == "dgrad", conv["pass"] == "wgrad", False]
        backward = torch.ops.aten.convolution_backward
        run = lambda: backward(dy, x, weight, None, stride, pad, [1, 1], False, [0, 0], 1, asked)
        return self.fastest(run, REPEATS)

    def product(self, n):
        a, b = (torch.randn(n, n, device=self.device, dtype=torch.bfloat16) for _ in range(2))
        return self.fastest(lambda: torch.matmul(a, b), 5)


def main():
    parser = argparse.ArgumentParser(description="cuDNN's convolutions and cuBLAS's products.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    products = Products(parser.parse_args().device)
    print(json.dumps({"ready": True, "torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        if line.strip() == "quit":
            break
        asked = json.loads(line)
        with torch.no_grad():
            if "convolution" in asked:
                seconds = products.convolution(asked["convolution"], asked["precision"])
            elif "product" in asked:
                seconds = products.product(asked["product"])
            else:
                print(f"gpu_products.py: stdin: found {line.strip()!r}", file=sys.stderr)
                sys.exit(2)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
