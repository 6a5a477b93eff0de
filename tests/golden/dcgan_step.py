"""Golden numbers: one training step of a small DCGAN, a gradient penalty, the GAN of 2014, other games.

    tests/peer/setup.sh <venv-dir>
    <venv-dir>/bin/python tests/golden/dcgan_step.py

writes dcgan_step.safetensors beside this file and prints its SHA-256. The inputs are float32 (NumPy's
PCG64, seeded, so the same everywhere); PyTorch runs from them twice, in float64 and in float32. The
float64 results, rounded to float32, are what is stored. How far the float32 run is from them, per tensor,
is printed and stored in the header (`__metadata__`, key `about`, JSON): `f32_error` is max|f32 - f64| /
max|f64|. The largest is near 1e-6, so a tolerance of 1e-4 on that measure leaves a hundredfold to another
order of summation. Adam's first step moves every weight by the rate times the sign of its gradient, so
`next` would hang on rounding where a gradient is almost 0. The seed is therefore picked, of 60 tried: no
gradient is closer to 0 than 1e-5 of the largest in its tensor (asserted), and no pre-activation closer to
the kink of its ReLU than 4e-6 of the largest. The step is 2e-4 everywhere, so `next` within 1e-4 says
little about a gain near 1: compare `next - init`, where float32's rounding of a gain, once there and once
here, is 6e-4 of the step. Another machine may round a last bit differently; the SHA-256 is then another.

Layout: images NHWC; convolution weights KRSC, [k, r, s, c]; matrices [inputs, outputs]. A transposed
convolution of G is the data gradient of a convolution from the image side (c) to the feature side (k), so
its k counts its input channels and its c its output channels. G's first layer is a matrix whose outputs
are (row, column, channel); D's last is a matrix whose inputs are.

The DCGAN is the one that pytorch/examples draws, made small: batch 8, image 16x16x3, latent 16, kernel 4,
no biases in convolutions, batch norm with eps 1e-5.

    G  0: 16 -> 4x4x32, norm, ReLU    1: -> 8x8x16, norm, ReLU    2: -> 16x16x3, tanh
    D  0: 16x16x3 -> 8x8x16, LeakyReLU 0.2    1: -> 4x4x32, norm, LeakyReLU 0.2    2: -> 1 logit

The step: D on the real and on the fake batch, each with batch statistics of its own, loss_d = mean
BCE(D(x), 1) + mean BCE(D(G(z)), 0); Adam(2e-4, 0.5, 0.999, eps 1e-8) updates D; G through the updated D
with the same fakes, loss_g = mean BCE(D(G(z)), 1); Adam updates G.

    init.{g,d}.LAYER.{weight,gain,shift}  before the step: N(0, 0.02), N(1, 0.02), N(0, 0.02)
    grad.*, next.*          of the same names: gradients (D's of loss_d, G's of loss_g), updated values
    real, noise             u8 [8, 16, 16, 3], mapped by x / 127.5 - 1; f32 [8, 16]
    fake                    G(noise) before the updates, [8, 16, 16, 3]
    loss_d, loss_g          scalars
    d_real, d_fake          mean of sigmoid(D), before the updates
    running.{g,d}.LAYER.{mean,var}  from 0 and 1 with momentum 0.1, unbiased variance: G's after its one
                            forward pass, D's after its real pass alone

gp.*: the critic of WGAN-GP, which is D with the weights above and without its batch norm, on `real` and
the stored `fake`; x^ = epsilon real + (1 - epsilon) fake; penalty = 10 mean (|dD/dx^| - 1)^2; loss = mean
D(fake) - mean D(real) + penalty.

    gp.epsilon, gp.norm     [8]: the mixing factors, and |dD/dx^| of each sample
    gp.loss, gp.penalty     scalars
    gp.grad.d.LAYER.weight  of the loss, through the gradient

goodfellow.*: a maxout D (12 -> 6 units of 3 pieces -> 4 units of 3 pieces -> 1 logit) and a G (5 -> 10
ReLU -> 12 sigmoid) with biases, batch 8. Gradients of both are taken at the same point. Weights of a
maxout layer are [inputs, units * 3], the pieces of one unit side by side.

    goodfellow.init.{g,d}.LAYER.{weight,bias}, goodfellow.grad.*
    goodfellow.real, goodfellow.noise, goodfellow.fake  [8, 12], [8, 5], [8, 12]
    goodfellow.loss_d       mean BCE(D(x), 1) + mean BCE(D(G(z)), 0)
    goodfellow.loss_g       mean log(1 - sigmoid(D(G(z)))), minimised: the minimax loss
    goodfellow.d_real, goodfellow.d_fake  mean of sigmoid(D)

GAME.*, for the games least_squares, hinge and relativistic: the networks, samples and noise of goodfellow.*,
the gradients again at one point. relativistic has its penalty, gamma/2 (R1 + R2) with gamma = 0.5.

    GAME.loss_d, GAME.loss_g, GAME.value  value is minus the loss of D without a penalty
    GAME.d_real, GAME.d_fake              means of D
    GAME.grad.{g,d}.LAYER.{weight,bias}   without D's last bias where it moves both of D's terms alike
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import leaky_relu, sigmoid, softplus

SEED = 2009
BATCH, IMAGE, CHANNELS, LATENT, WIDTH, PIECES = 8, 16, 3, 16, 16, 3

# The convolutions in PyTorch's order of axes: G's are [features, image side, r, s], as D's are.
CONVOLUTIONS = {
    "g.0": (LATENT, 2 * WIDTH),
    "g.1": (2 * WIDTH, WIDTH),
    "g.2": (WIDTH, CHANNELS),
    "d.0": (WIDTH, CHANNELS),
    "d.1": (2 * WIDTH, WIDTH),
    "d.2": (1, 2 * WIDTH),
}
NORMS = {"g.0": 2 * WIDTH, "g.1": WIDTH, "d.1": 2 * WIDTH}
DENSE = {"g.0": (5, 10), "g.1": (10, 12), "d.0": (12, 6 * PIECES), "d.1": (6, 4 * PIECES), "d.2": (4, 1)}


def draw():
    """All inputs: float32 and u8, convolutions still in PyTorch's layout."""
    random = np.random.default_rng(SEED)
    normal = lambda mean, deviation, *shape: random.normal(mean, deviation, shape).astype(np.float32)
    inputs = {}
    for layer, shape in CONVOLUTIONS.items():
        inputs[f"init.{layer}.weight"] = normal(0, 0.02, *shape, 4, 4)
    for layer, channels in NORMS.items():
        inputs[f"init.{layer}.gain"] = normal(1, 0.02, channels)
        inputs[f"init.{layer}.shift"] = normal(0, 0.02, channels)
    inputs["real"] = random.integers(0, 256, (BATCH, IMAGE, IMAGE, CHANNELS), dtype=np.uint8)
    inputs["noise"] = normal(0, 1, BATCH, LATENT)
    inputs["gp.epsilon"] = random.random(BATCH, dtype=np.float32)
    for layer, (before, after) in DENSE.items():
        inputs[f"goodfellow.init.{layer}.weight"] = normal(0, 0.5, before, after)
        inputs[f"goodfellow.init.{layer}.bias"] = normal(0, 0.1, after)
    inputs["goodfellow.real"] = random.random((BATCH, 12), dtype=np.float32)
    inputs["goodfellow.noise"] = normal(0, 1, BATCH, 5)
    return inputs


def stored(name, tensor):
    """A tensor as the file holds it: float32, or float64 until it is rounded, in our layout."""
    array = np.asarray(tensor.detach() if torch.is_tensor(tensor) else tensor)
    if array.ndim != 4 or name == "real":
        return array
    array = np.ascontiguousarray(array.transpose(0, 2, 3, 1))
    if name.endswith("g.0.weight"):
        return array.reshape(LATENT, -1)
    if name.endswith("d.2.weight"):
        return array.reshape(-1, 1)
    return array


class Dcgan:
    """G and D as PyTorch modules, so that batch norm, its statistics and Adam are PyTorch's own."""

    def __init__(self, inputs, dtype):
        self.modules = {}
        for layer, (features, image_side) in CONVOLUTIONS.items():
            stride, padding = (1, 0) if layer in ("g.0", "d.2") else (2, 1)
            if layer.startswith("g"):
                module = nn.ConvTranspose2d(features, image_side, 4, stride, padding, bias=False)
            else:
                module = nn.Conv2d(image_side, features, 4, stride, padding, bias=False)
            self.modules[layer, "convolution"] = module
        for layer, channels in NORMS.items():
            self.modules[layer, "norm"] = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)
        for module in self.modules.values():
            module.to(dtype)
        with torch.no_grad():
            for name, parameter in self.parameters().items():
                parameter.copy_(torch.from_numpy(inputs[f"init.{name}"]))

    def parameters(self, network=""):
        """The parameters by their names in the file: `g.0.weight`, `g.0.gain`, `g.0.shift`, ..."""
        names = {}
        for (layer, kind), module in self.modules.items():
            if layer.startswith(network):
                names[f"{layer}.weight" if kind == "convolution" else f"{layer}.gain"] = module.weight
                if kind == "norm":
                    names[f"{layer}.shift"] = module.bias
        return names

    def layer(self, name, x, normalise=True):
        x = self.modules[name, "convolution"](x)
        return self.modules[name, "norm"](x) if normalise and name in NORMS else x

    def generate(self, noise):
        x = self.layer("g.0", noise[:, :, None, None]).relu()
        x = self.layer("g.1", x).relu()
        return self.layer("g.2", x).tanh()

    def discriminate(self, x, normalise=True):
        x = leaky_relu(self.layer("d.0", x), 0.2)
        x = leaky_relu(self.layer("d.1", x, normalise), 0.2)
        return self.layer("d.2", x).view(-1)

    def running(self, network):
        """Running statistics as they are now."""
        return {
            f"running.{layer}.{statistic}": getattr(self.modules[layer, "norm"], f"running_{statistic}").clone()
            for layer in NORMS
            if layer.startswith(network)
            for statistic in ("mean", "var")
        }


def pixels(inputs, dtype):
    return torch.from_numpy(inputs["real"]).permute(0, 3, 1, 2).to(dtype) / 127.5 - 1


def step(inputs, dtype):
    """One training step with fakes shared by both halves."""
    gan, results = Dcgan(inputs, dtype), {}
    real, noise = pixels(inputs, dtype), torch.from_numpy(inputs["noise"]).to(dtype)
    ones, zeros = torch.ones(BATCH, dtype=dtype), torch.zeros(BATCH, dtype=dtype)
    adam = {
        network: torch.optim.Adam(gan.parameters(network).values(), lr=2e-4, betas=(0.5, 0.999), eps=1e-8)
        for network in "gd"
    }

    fake = gan.generate(noise)
    results |= {"fake": fake} | gan.running("g")
    d_real = gan.discriminate(real)
    results |= gan.running("d")
    d_fake = gan.discriminate(fake.detach())
    loss_d = bce(d_real, ones) + bce(d_fake, zeros)
    results |= {"loss_d": loss_d, "d_real": sigmoid(d_real).mean(), "d_fake": sigmoid(d_fake).mean()}
    loss_d.backward()
    results |= {f"grad.{name}": p.grad.clone() for name, p in gan.parameters("d").items()}
    adam["d"].step()

    loss_g = bce(gan.discriminate(fake), ones)
    results["loss_g"] = loss_g
    loss_g.backward()
    results |= {f"grad.{name}": p.grad.clone() for name, p in gan.parameters("g").items()}
    adam["g"].step()
    return results | {f"next.{name}": p for name, p in gan.parameters().items()}


def gradient_penalty(inputs, fake, dtype):
    """WGAN-GP's critic loss; `fake` is the stored float32 batch, [8, 3, 16, 16]."""
    gan, real, fake = Dcgan(inputs, dtype), pixels(inputs, dtype), fake.to(dtype)
    critic = lambda x: gan.discriminate(x, normalise=False)
    epsilon = torch.from_numpy(inputs["gp.epsilon"]).to(dtype)[:, None, None, None]
    between = (epsilon * real + (1 - epsilon) * fake).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norm = slope.flatten(1).norm(dim=1)
    penalty = 10 * ((norm - 1) ** 2).mean()
    loss = critic(fake).mean() - critic(real).mean() + penalty
    weights = {name: p for name, p in gan.parameters("d").items() if name.endswith("weight")}
    gradients = torch.autograd.grad(loss, list(weights.values()))
    results = {"gp.norm": norm, "gp.penalty": penalty, "gp.loss": loss}
    return results | {f"gp.grad.{name}": g for name, g in zip(weights, gradients)}


def goodfellow(inputs, dtype):
    """The simultaneous gradients of the networks of 2014, without dropout, in the minimax game and others."""
    prefix = "goodfellow."
    p = {
        name.removeprefix(prefix): torch.from_numpy(array).to(dtype)
        for name, array in inputs.items()
        if name.startswith(prefix)
    }
    weights = {n: t.requires_grad_(True) for n, t in p.items() if n.startswith("init.")}
    dense = lambda layer, x: x @ p[f"init.{layer}.weight"] + p[f"init.{layer}.bias"]
    maxout = lambda layer, x: dense(layer, x).unflatten(1, (-1, PIECES)).amax(2)
    discriminate = lambda x: dense("d.2", maxout("d.1", maxout("d.0", x))).view(-1)

    real = p["real"].requires_grad_(True)
    fake = sigmoid(dense("g.1", dense("g.0", p["noise"]).relu()))
    d_real, d_fake = discriminate(real), discriminate(fake)

    def slopes(loss_d, loss_g):
        results = {"loss_d": loss_d, "loss_g": loss_g}
        for network, loss in (("d", loss_d), ("g", loss_g)):
            mine = {n: t for n, t in weights.items() if n.startswith(f"init.{network}")}
            gradients = torch.autograd.grad(loss, list(mine.values()), retain_graph=True)
            results |= {n.replace("init.", "grad."): g for n, g in zip(mine, gradients)}
        return results

    loss_d = softplus(-d_real).mean() + softplus(d_fake).mean()
    results = {"fake": fake, "d_real": sigmoid(d_real).mean(), "d_fake": sigmoid(d_fake).mean()}
    results |= slopes(loss_d, -softplus(d_fake).mean())
    results = {prefix + name: tensor for name, tensor in results.items()}

    slope = lambda d, x: torch.autograd.grad(d.sum(), x, create_graph=True)[0].square().sum(1).mean()
    no_penalty = torch.zeros((), dtype=dtype)
    for game, loss_d, penalty, loss_g in (
        (
            "least_squares",
            0.5 * (d_real - 1).square().mean() + 0.5 * d_fake.square().mean(),
            no_penalty,
            0.5 * (d_fake - 1).square().mean(),
        ),
        ("hinge", (1 - d_real).relu().mean() + (1 + d_fake).relu().mean(), no_penalty, -d_fake.mean()),
        (
            "relativistic",
            softplus(d_fake - d_real).mean(),
            0.5 / 2 * (slope(d_real, real) + slope(d_fake, fake)),
            softplus(d_real - d_fake).mean(),
        ),
    ):
        values = {"value": -loss_d, "d_real": d_real.mean(), "d_fake": d_fake.mean()}
        values |= slopes(loss_d + penalty, loss_g)
        results |= {f"{game}.{name}": tensor for name, tensor in values.items()}
    return results


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    inputs = draw()
    truth, single = step(inputs, torch.float64), step(inputs, torch.float32)
    fake = truth["fake"].detach().float()
    for results, dtype in ((truth, torch.float64), (single, torch.float32)):
        results |= gradient_penalty(inputs, fake, dtype) | goodfellow(inputs, dtype)

    tensors = {name: stored(name, array) for name, array in inputs.items()}
    errors = {}
    for name in sorted(truth):
        exact, rounded = stored(name, truth[name]), stored(name, single[name])
        if not exact.any():
            print(f"{name:32} is 0 and left out")
            continue
        assert np.isfinite(exact).all(), name
        if name.startswith("grad."):
            assert np.abs(exact).min() > 1e-5 * np.abs(exact).max(), f"{name}: a gradient is almost 0; pick another seed"
        errors[name] = float(f"{np.abs(exact - rounded).max() / np.abs(exact).max():.1e}")
        tensors[name] = exact.astype(np.float32)
        print(f"{name:32} {str(list(exact.shape)):18} max {np.abs(exact).max():<10.3g} f32 error {errors[name]:.1e}")

    # One key, because the order of several is not fixed.
    about = json.dumps({"torch": torch.__version__, "seed": SEED, "f32_error": errors})
    data = save(tensors, metadata={"about": about})
    path = Path(__file__).with_suffix(".safetensors")
    beside = path.with_suffix(".new")
    with open(beside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    print(f"largest f32 error {max(errors.values()):.1e} ({max(errors, key=errors.get)})")
    print(f"{path.name}: {len(tensors)} tensors, {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
