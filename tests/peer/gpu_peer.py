"""The PyTorch baseline of the benchmark on a GPU: one DCGAN training step, served over stdin and stdout.

    gpu_peer.py --network '{"side": 64, "channels": 3, "width": 64, "kernel": 4, "batch": 128}'
        --variant eager|eager_tf32|compiled|graphed [--device cuda]
    gpu_peer.py --versions

The step is that of peer.py, the PyTorch example's: D on a real batch and on a detached fake batch, Adam; then G
through the updated D with the same fakes, Adam. What differs: a batch of bytes is handed over in every step,
from pinned memory and without waiting, and the losses are read once for each answer.

    eager       the example's step in f32, tf32 off
    eager_tf32  the same with tf32
    compiled    channels_last, bf16 autocast, torch.compile(mode="max-autotune"), whose CUDA graphs take
                each network's passes, fused Adam that can be captured, D frozen in the step of G
    graphed     the same networks compiled with max-autotune-no-cudagraphs, and the whole step, optimisers
                included, captured as one CUDA graph by hand

The protocol, one JSON object a line. After a warm-up the peer says {"ready": true, "torch": "2.11.0", ...}
and then answers each line `N` (a positive integer) with N steps, the device waited for at their end:

    {"steps": N, "seconds": s, "loss_d": x, "loss_g": x}

`quit` or the end of the input ends it. A line that is neither ends it with status 2.
"""

import argparse
import contextlib
import json
import os
import sys
import time

os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(os.getcwd(), "inductor"))

import torch
from torch import nn

from peer import LATENT, discriminator, generator, initialise

VARIANTS = ("eager", "eager_tf32", "compiled", "graphed")
# A network is compiled more than once: for training alone, for D frozen, and as shapes of gradients ask.
WARM_UP = 8


class Trainer:
    def __init__(self, network, variant, device):
        side, channels, width, kernel = (network[key] for key in ("side", "channels", "width", "kernel"))
        self.batch, self.device, self.variant = network["batch"], device, variant
        self.tuned = variant in ("compiled", "graphed")
        tf32 = variant != "eager"
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(0)
        layout = torch.channels_last if self.tuned else torch.contiguous_format
        place = dict(device=device, memory_format=layout)
        self.g = generator(side, channels, width, kernel).apply(initialise).to(**place)
        self.d = discriminator(side, channels, width, kernel).apply(initialise).to(**place)
        pixels = torch.randint(0, 256, (self.batch, channels, side, side), dtype=torch.uint8)
        self.host = pixels.contiguous(memory_format=layout)
        if device == "cuda":
            self.host = self.host.pin_memory()
        self.bytes = torch.empty_like(self.host, device=device)
        self.ones, self.zeros = (make(self.batch, device=device) for make in (torch.ones, torch.zeros))
        adam = dict(lr=2e-4, betas=(0.5, 0.999))
        if self.tuned:
            adam |= dict(fused=True, capturable=device == "cuda")
        self.adam_g = torch.optim.Adam(self.g.parameters(), **adam)
        self.adam_d = torch.optim.Adam(self.d.parameters(), **adam)
        self.criterion = nn.BCEWithLogitsLoss()
        self.generate, self.judge, self.judge_bytes = self.g, self._judge, self._judge_bytes
        if self.tuned:
            mode = "max-autotune" if variant == "compiled" else "max-autotune-no-cudagraphs"
            mode = mode if device == "cuda" else "default"
            wrap = lambda f: torch.compile(f, mode=mode, dynamic=False)
            self.generate, self.judge, self.judge_bytes = map(wrap, (self.g, self._judge, self._judge_bytes))
        self.graph = None

    def _judge(self, x, target):
        return self.criterion(self.d(x).float().view(-1), target)

    def _judge_bytes(self, pixels, target):
        return self._judge(pixels.float() * (2 / 255) - 1, target)

    def autocast(self):
        return torch.autocast(self.device, torch.bfloat16) if self.tuned else contextlib.nullcontext()

    def clear(self, adam):
        # max-autotune's graphs give gradients in memory of their own, which the next pass takes: they are
        # added to gradients that stay.
        adam.zero_grad(set_to_none=self.variant != "compiled")

    def noise(self):
        z = torch.randn(self.batch, LATENT, 1, 1, device=self.device)
        # An image of one pixel is of either layout: without strides that tell it, cuDNN gives the first layer's
        # weight gradient in another layout than torch.compile has planned for.
        return z.as_strided(z.shape, (LATENT, 1, LATENT, LATENT)) if self.tuned else z

    def compute(self):
        """A step from the bytes that are on the device."""
        with self.autocast():
            self.clear(self.adam_d)
            loss_real = self.judge_bytes(self.bytes, self.ones)
            loss_real.backward()
            loss_real = loss_real.detach().clone()
            fake = self.generate(self.noise())
            if self.variant == "compiled":
                fake = fake.clone()
            loss_fake = self.judge(fake.detach(), self.zeros)
            loss_fake.backward()
            loss_d = loss_real + loss_fake.detach()
            self.adam_d.step()

            self.clear(self.adam_g)
            if self.tuned:
                self.d.requires_grad_(False)
            loss_g = self.judge(fake, self.ones)
            loss_g.backward()
            if self.tuned:
                self.d.requires_grad_(True)
            self.adam_g.step()
            return loss_d, loss_g.detach().clone()

    def step(self):
        self.bytes.copy_(self.host, non_blocking=True)
        if self.graph:
            self.graph.replay()
            return self.losses
        if self.variant == "compiled" and self.device == "cuda":
            torch.compiler.cudagraph_mark_step_begin()
        return self.compute()

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def warm_up(self):
        if self.variant == "compiled":
            for parameter in (*self.g.parameters(), *self.d.parameters()):
                parameter.grad = torch.zeros_like(parameter)
        if self.variant == "graphed" and self.device == "cuda":
            # Captured work may not run on the default stream before.
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    self.step()
            torch.cuda.current_stream().wait_stream(stream)
            for adam in (self.adam_g, self.adam_d):
                adam.zero_grad(set_to_none=True)
            self.wait()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.losses = self.compute()
            self.graph = graph
        for _ in range(WARM_UP):
            self.step()
        self.wait()


def versions():
    """What figures of PyTorch depend on, and where its NCCL lies."""
    found = dict(python=sys.version.split()[0], torch=torch.__version__, cuda=torch.version.cuda)
    found["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if torch.cuda.is_available():
        found["cudnn"] = torch.backends.cudnn.version()
        found["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
    with open("/proc/self/maps") as maps:
        mapped = [line.split()[-1] for line in maps if "libnccl.so" in line]
    found["nccl_library"] = mapped[0] if mapped else None
    return found


def say(**message):
    print(json.dumps(message), flush=True)


def main():
    parser = argparse.ArgumentParser(description="The PyTorch baseline of the benchmark on a GPU.")
    parser.add_argument("--versions", action="store_true")
    parser.add_argument("--network", type=json.loads)
    parser.add_argument("--variant", choices=VARIANTS, default="eager")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments = parser.parse_args()
    if arguments.versions:
        say(**versions())
        return
    if arguments.network is None:
        parser.error("--network is needed")

    trainer = Trainer(arguments.network, arguments.variant, arguments.device)
    trainer.warm_up()
    say(ready=True, torch=torch.__version__, variant=arguments.variant, batch=trainer.batch)
    for line in sys.stdin:
        line = line.strip()
        if line == "quit":
            break
        if not line.isascii() or not line.isdigit() or int(line) == 0:
            print(f"gpu_peer.py: stdin: found {line!r}, expected a number of steps or quit", file=sys.stderr)
            sys.exit(2)
        trainer.wait()
        start = time.perf_counter()
        for _ in range(int(line)):
            loss_d, loss_g = trainer.step()
        trainer.wait()
        seconds = time.perf_counter() - start
        say(steps=int(line), seconds=seconds, loss_d=loss_d.item(), loss_g=loss_g.item())


if __name__ == "__main__":
    main()
