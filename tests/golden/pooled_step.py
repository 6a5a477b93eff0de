"""Golden numbers: a DCGAN without the guidelines of section 3, one loss and gradient of each player.

    tests/peer/setup.sh <venv-dir>
    <venv-dir>/bin/python tests/golden/pooled_step.py

writes pooled_step.safetensors beside this file, as dcgan_step.py does (see there): float32 inputs from NumPy's
PCG64, results of PyTorch in float64 rounded to float32, and in the header how far PyTorch's own float32 run is
from them. What is largest of several, and what side of a kink it is on, must not hang on rounding: the seed is
picked so that no winner of a pool or a maxout unit is closer to its rival, and no argument of a leaky rectifier
closer to 0, than 1e-6 of the largest in its tensor (asserted).

Batch 8, image 16x16x3, latent 6, width 4, kernel 4, pixels in [0, 1]; batch norm at every layer but the logit,
G's output and D's input included. Convolutions have stride 1, with one zero before the image and two after it.

    G  hidden: 6 -> 10, norm, leaky    0: -> 4x4x8, norm, leaky    1: upsampled, -> 8x8x4, norm, leaky
       2: upsampled, -> 16x16x3, norm, sigmoid
    D  0: 16x16x3 -> 4 units of 2 pieces, pooled to 8x8, norm, maxout    1: -> 8 units, pooled to 4x4, norm, maxout
       hidden: 4*4*8 -> 10 units, norm, maxout    2: -> 1 logit

    init.{g,d}.LAYER.{weight,gain,shift}  weights [k, r, s, c] and [inputs, outputs], the pieces of a unit adjacent
    real, noise             u8 [8, 16, 16, 3], mapped by x / 255; f32 [8, 6]
    loss_d, loss_g          mean BCE(D(x), 1) + mean BCE(D(G(z)), 0); mean BCE(D(G(z)), 1)
    grad.*                  of the same names as init: of loss_d and of loss_g, both at init
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch.nn import functional as f

SEED = 2015
BATCH, IMAGE, LATENT, WIDTH, HIDDEN, PIECES, KERNEL, SLOPE = 8, 16, 6, 4, 10, 2, 4, 0.2
FLAT = 4 * 4 * 2 * WIDTH

WEIGHTS = {
    "g.hidden": (LATENT, HIDDEN),
    "g.0": (HIDDEN, FLAT),
    "g.1": (WIDTH, KERNEL, KERNEL, 2 * WIDTH),
    "g.2": (3, KERNEL, KERNEL, WIDTH),
    "d.0": (PIECES * WIDTH, KERNEL, KERNEL, 3),
    "d.1": (PIECES * 2 * WIDTH, KERNEL, KERNEL, WIDTH),
    "d.hidden": (FLAT, PIECES * HIDDEN),
    "d.2": (HIDDEN, 1),
}
NORMS = {
    "g.hidden": HIDDEN,
    "g.0": 2 * WIDTH,
    "g.1": WIDTH,
    "g.2": 3,
    "d.0": PIECES * WIDTH,
    "d.1": PIECES * 2 * WIDTH,
    "d.hidden": PIECES * HIDDEN,
}


def draw():
    """All inputs: float32 and u8, in our layout."""
    random = np.random.default_rng(SEED)
    normal = lambda mean, deviation, *shape: random.normal(mean, deviation, shape).astype(np.float32)
    inputs = {f"init.{layer}.weight": normal(0, 0.2, *shape) for layer, shape in WEIGHTS.items()}
    for layer, channels in NORMS.items():
        inputs[f"init.{layer}.gain"] = normal(1, 0.2, channels)
        inputs[f"init.{layer}.shift"] = normal(0, 0.2, channels)
    inputs["real"] = random.integers(0, 256, (BATCH, IMAGE, IMAGE, 3), dtype=np.uint8)
    inputs["noise"] = normal(0, 1, BATCH, LATENT)
    return inputs


class Pooled:
    """The two networks as functions of leaves in our layout; images are NCHW inside."""

    def __init__(self, inputs, dtype):
        named = lambda name: torch.from_numpy(inputs[name]).to(dtype).requires_grad_(True)
        self.p = {name.removeprefix("init."): named(name) for name in inputs if name.startswith("init.")}
        self.margin = np.inf

    def decided(self, rivals, x):
        """Remembers how close the two largest of the last axis are, as part of the largest of all."""
        best = rivals.detach().topk(2, dim=-1).values
        self.margin = min(self.margin, float((best[..., 0] - best[..., 1]).min() / x.detach().abs().max()))

    def norm(self, layer, x):
        gain, shift = self.p[f"{layer}.gain"], self.p[f"{layer}.shift"]
        return f.batch_norm(x, None, None, gain, shift, training=True, eps=1e-5)

    def dense(self, layer, x):
        return x @ self.p[f"{layer}.weight"]

    def convolution(self, layer, x):
        return f.conv2d(f.pad(x, (1, 2, 1, 2)), self.p[f"{layer}.weight"].permute(0, 3, 1, 2))

    def leaky(self, x):
        self.margin = min(self.margin, float(x.detach().abs().min() / x.detach().abs().max()))
        return f.leaky_relu(x, SLOPE)

    def maxout(self, x):
        pieces = x.unflatten(1, (-1, PIECES))
        self.decided(pieces.movedim(2, -1), x)
        return pieces.amax(2)

    def pool(self, x):
        blocks = f.unfold(x.flatten(0, 1)[:, None], 2, stride=2).movedim(1, -1)
        self.decided(blocks, x)
        return f.max_pool2d(x, 2)

    def generate(self, noise):
        double = lambda x: f.interpolate(x, scale_factor=2, mode="nearest")
        x = self.leaky(self.norm("g.hidden", self.dense("g.hidden", noise)))
        x = self.dense("g.0", x).view(BATCH, 4, 4, -1).permute(0, 3, 1, 2)
        x = self.leaky(self.norm("g.0", x))
        x = self.leaky(self.norm("g.1", self.convolution("g.1", double(x))))
        return torch.sigmoid(self.norm("g.2", self.convolution("g.2", double(x))))

    def discriminate(self, x):
        for layer in ("d.0", "d.1"):
            x = self.maxout(self.norm(layer, self.pool(self.convolution(layer, x))))
        x = x.permute(0, 2, 3, 1).flatten(1)
        x = self.maxout(self.norm("d.hidden", self.dense("d.hidden", x)))
        return self.dense("d.2", x)


def gradients(inputs, dtype):
    """Losses and gradients of both players, and the smallest margin of what is decided on the way."""
    gan = Pooled(inputs, dtype)
    real = torch.from_numpy(inputs["real"]).permute(0, 3, 1, 2).to(dtype) / 255
    fake = gan.generate(torch.from_numpy(inputs["noise"]).to(dtype))
    d_fake = gan.discriminate(fake)
    loss_d = f.softplus(-gan.discriminate(real)).mean() + f.softplus(d_fake).mean()
    loss_g = f.softplus(-d_fake).mean()
    results = {"loss_d": loss_d, "loss_g": loss_g}
    for network, loss in (("d", loss_d), ("g", loss_g)):
        mine = {name: p for name, p in gan.p.items() if name.startswith(network)}
        found = torch.autograd.grad(loss, list(mine.values()), retain_graph=True)
        results |= {f"grad.{name}": g for name, g in zip(mine, found)}
    return {name: np.asarray(t.detach()) for name, t in results.items()}, gan.margin


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    inputs = draw()
    (truth, margin), (single, _) = gradients(inputs, torch.float64), gradients(inputs, torch.float32)
    assert margin > 1e-6, f"a margin of {margin:.1e}; pick another seed"
    tensors, errors = dict(inputs), {}
    for name in sorted(truth):
        exact, rounded = truth[name], single[name]
        assert np.isfinite(exact).all(), name
        errors[name] = float(f"{np.abs(exact - rounded).max() / np.abs(exact).max():.1e}")
        tensors[name] = exact.astype(np.float32)
        print(f"{name:24} {str(list(exact.shape)):16} max {np.abs(exact).max():<10.3g} f32 error {errors[name]:.1e}")

    about = json.dumps({"torch": torch.__version__, "seed": SEED, "margin": margin, "f32_error": errors})
    data = save(tensors, metadata={"about": about})
    path = Path(__file__).with_suffix(".safetensors")
    beside = path.with_suffix(".new")
    with open(beside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    print(f"margin {margin:.1e}, largest f32 error {max(errors.values()):.1e} ({max(errors, key=errors.get)})")
    print(f"{path.name}: {len(tensors)} tensors, {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
