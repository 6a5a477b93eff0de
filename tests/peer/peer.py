"""The PyTorch baseline of the benchmark: one DCGAN training step, served over stdin and stdout.

    peer.py --config a|b|c --variant eager|channels_last|channels_last_fused|channels_last_fused_frozen|
        channels_last_fused_frozen_compiled --threads 2

The step is the one of pytorch/examples `dcgan/main.py`: D on a real batch and on a detached fake batch,
Adam; then G through the updated D with the same fakes, Adam. Where the example ends D with a sigmoid and
takes BCELoss, this takes the logit and BCEWithLogitsLoss: the same function, and a little faster. The
real batch is drawn once, so what is timed is training alone; noise is drawn in every step, and both
losses are read in every step, as the example does to print them.

`compiled` is torch.compile of both networks, forward and backward, with its default mode; Inductor needs a
C++ compiler, and keeps what it compiles in the folder of the Python environment, unless
TORCHINDUCTOR_CACHE_DIR names another.

The protocol, one JSON object a line. After a warm-up of two steps, or of as many as still compile
something, the peer says

    {"ready": true, "torch": "2.15.0", "config": "b", ..., "parameters": {"generator": n, "discriminator": n}}

and then answers each line `N` (a positive integer) with N steps, the losses being those of the last:

    {"steps": N, "seconds": s, "loss_d": x, "loss_g": x}

`quit` or the end of the input ends it. A line that is neither ends it with status 2.
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(sys.prefix, "inductor"))

import torch
import torch._dynamo.utils
from torch import nn

LATENT = 100

# image side, channels, width of the narrowest layer, batch
CONFIGS = {
    "a": (64, 3, 64, 128),  # the example's defaults, with the paper's batch
    "b": (32, 1, 64, 64),  # MNIST-sized
    "c": (64, 3, 128, 32),  # the paper's width
}

# memory layout, fused Adam, D frozen in the step of G, networks compiled
VARIANTS = {
    "eager": (torch.contiguous_format, False, False, False),
    "channels_last": (torch.channels_last, False, False, False),
    "channels_last_fused": (torch.channels_last, True, False, False),
    "channels_last_fused_frozen": (torch.channels_last, True, True, False),
    "channels_last_fused_frozen_compiled": (torch.channels_last, True, True, True),
}


def strided(kernel):
    """Kernel, stride and padding that halve a side: 4 with one zero before the image, or 5 with two."""
    return kernel, 2, kernel - 3


def generator(image, channels, width, kernel=4):
    up = strided(kernel) + (kernel - 4,)
    features = width * image // 8
    layers = [nn.ConvTranspose2d(LATENT, features, 4, 1, 0, bias=False), nn.BatchNorm2d(features), nn.ReLU(True)]
    while features > width:
        layers += [
            nn.ConvTranspose2d(features, features // 2, *up, bias=False),
            nn.BatchNorm2d(features // 2),
            nn.ReLU(True),
        ]
        features //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, *up, bias=False), nn.Tanh())


def discriminator(image, channels, width, kernel=4):
    down = strided(kernel)
    layers = [nn.Conv2d(channels, width, *down, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    features = width
    while features < width * image // 8:
        layers += [
            nn.Conv2d(features, features * 2, *down, bias=False),
            nn.BatchNorm2d(features * 2),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        features *= 2
    return nn.Sequential(*layers, nn.Conv2d(features, 1, 4, 1, 0, bias=False))


def initialise(module):
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class Trainer:
    def __init__(self, config, variant):
        image, channels, width, self.batch = CONFIGS[config]
        layout, fused, self.frozen, self.compiled = VARIANTS[variant]
        torch.manual_seed(0)
        self.g = generator(image, channels, width).apply(initialise).to(memory_format=layout)
        self.d = discriminator(image, channels, width).apply(initialise).to(memory_format=layout)
        self.real = (torch.rand(self.batch, channels, image, image) * 2 - 1).to(memory_format=layout)
        self.ones, self.zeros = torch.ones(self.batch), torch.zeros(self.batch)
        adam = dict(lr=2e-4, betas=(0.5, 0.999), fused=fused or None)
        self.adam_g = torch.optim.Adam(self.g.parameters(), **adam)
        self.adam_d = torch.optim.Adam(self.d.parameters(), **adam)
        self.criterion = nn.BCEWithLogitsLoss()
        if self.compiled:
            self.g, self.d = torch.compile(self.g), torch.compile(self.d)

    def warm_up(self):
        graphs = lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]
        calm = 0
        while calm < 2:
            before = graphs()
            self.step()
            calm = calm + 1 if graphs() == before else 0

    def step(self):
        # D: maximise log D(x) + log(1 - D(G(z)))
        self.adam_d.zero_grad()
        loss_real = self.criterion(self.d(self.real).view(-1), self.ones)
        loss_real.backward()
        fake = self.g(torch.randn(self.batch, LATENT, 1, 1))
        loss_fake = self.criterion(self.d(fake.detach()).view(-1), self.zeros)
        loss_fake.backward()
        self.adam_d.step()

        # G: maximise log D(G(z)). The example computes gradients of D's weights here and drops them;
        # frozen, they are not computed.
        self.adam_g.zero_grad()
        if self.frozen:
            self.d.requires_grad_(False)
        loss_g = self.criterion(self.d(fake).view(-1), self.ones)
        loss_g.backward()
        if self.frozen:
            self.d.requires_grad_(True)
        self.adam_g.step()
        return (loss_real + loss_fake).item(), loss_g.item()


def say(**message):
    print(json.dumps(message), flush=True)


def main():
    parser = argparse.ArgumentParser(description="The PyTorch baseline of the benchmark.")
    parser.add_argument("--config", choices=CONFIGS, required=True)
    parser.add_argument("--variant", choices=VARIANTS, default="eager")
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    if arguments.threads < 1:
        parser.error(f"--threads: found {arguments.threads}, expected at least 1")

    torch.set_num_threads(arguments.threads)
    trainer = Trainer(arguments.config, arguments.variant)
    trainer.warm_up()
    count = lambda network: sum(p.numel() for p in network.parameters())
    say(
        ready=True,
        torch=torch.__version__,
        config=arguments.config,
        variant=arguments.variant,
        threads=arguments.threads,
        batch=trainer.batch,
        parameters={"generator": count(trainer.g), "discriminator": count(trainer.d)},
    )
    for line in sys.stdin:
        line = line.strip()
        if line == "quit":
            break
        if not line.isascii() or not line.isdigit() or int(line) == 0:
            print(f"peer.py: stdin: found {line!r}, expected a positive number of steps or quit", file=sys.stderr)
            sys.exit(2)
        start = time.perf_counter()
        for _ in range(int(line)):
            loss_d, loss_g = trainer.step()
        say(steps=int(line), seconds=time.perf_counter() - start, loss_d=loss_d, loss_g=loss_g)


if __name__ == "__main__":
    main()
