"""Duel's LSUN import against Pillow with as many processes, on images made like LSUN's.

    import.py DUEL FOLDER [--images 20000] [--rounds 5] [--processes 2]

FOLDER keeps what is made once: an LMDB as LSUN has it (keys of 40 hexadecimal digits, WebP of quality 75, the
shorter side 256 pixels, about 14 KB each as in the original: 43 GB of 3,033,042 bedrooms). The pictures are noise
with the spectrum of photographs (amplitude near 1/f), smooth light, and edges.

Each round times both sides one after the other on the same file: decode, crop to the square in the middle,
resize to 64 pixels with Pillow's BILINEAR, write. Pillow's processes each take a share of the keys and write their
own array. Then peak memory is measured from the kernel's figures: VmHWM of /proc/PID/status, everything that
was resident, pages of mapped files included. Needs Pillow, numpy and lmdb (tests/readers/setup.sh).
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image

SIDE = 64
SHAPES = [(341, 256), (341, 256), (384, 256), (455, 256), (256, 256), (256, 341)]  # width, height


def canvas(seed):
    """A picture of 640x640 with the statistics of photographs, as float on 0..255."""
    rng = np.random.default_rng(seed)
    size = 640
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    f[0, 0] = 1
    grey, red, blue = (
        np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) / f**1.26, s=(size, size)) for _ in range(3)
    )
    grey, red, blue = (x / x.std() for x in (grey, red, blue))
    picture = np.stack([grey + 0.3 * red, grey, grey + 0.3 * blue], axis=-1)
    y, x = np.mgrid[0:size, 0:size]
    for _ in range(40):  # things in front of one another
        cx, cy, w, h = rng.uniform(0, size, 4) * [1, 1, 0.3, 0.3]
        angle, level, colour = rng.uniform(0, np.pi), rng.normal(), rng.normal(size=3) * 0.3
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        inside = (abs(u) < w / 2) & (abs(v) < h / 2)
        picture[inside] = 0.4 * picture[inside] + level + colour
    picture += (x * rng.normal() + y * rng.normal())[..., None] / size
    return np.clip(118 + 50 * picture, 0, 255).astype(np.uint8)


def encode(task):
    """Pictures cut from one canvas, as (key, WebP)."""
    seed, count = task
    rng = np.random.default_rng([seed, 1])
    big = canvas(seed)
    made = []
    for _ in range(count):
        w, h = SHAPES[rng.integers(len(SHAPES))]
        x, y = rng.integers(0, 640 - w), rng.integers(0, 640 - h)
        cut = big[y : y + h, x : x + w]
        picture = Image.fromarray(np.ascontiguousarray(cut[:, ::-1] if rng.integers(2) else cut))
        into = io.BytesIO()
        picture.save(into, "WEBP", quality=75)
        made.append((hashlib.sha1(into.getvalue()).hexdigest().encode(), into.getvalue()))
    return made


def make(folder, images, processes):
    """Writes the LMDB as LSUN's tools do: one transaction per thousand, keys in the order of their digests."""
    target = folder / f"lsunlike_{images}_lmdb"
    if target.exists():
        return target
    aside = folder / "making_lmdb"
    shutil.rmtree(aside, ignore_errors=True)
    each = 50
    tasks = [(seed, min(each, images - seed * each)) for seed in range(-(-images // each))]
    env = lmdb.open(str(aside), map_size=1 << 36)
    with multiprocessing.Pool(processes) as pool:
        for done, made in enumerate(pool.imap(encode, tasks)):
            with env.begin(write=True) as transaction:
                for key, value in made:
                    transaction.put(key, value)
            if done % 40 == 0:
                print(f"made {done * each} of {images} pictures", flush=True)
    env.close()
    aside.rename(target)
    return target


def pillow_share(task):
    """One process of the peer: its share of the keys, decoded, cropped, resized, written."""
    source, out, part, parts = task
    env = lmdb.open(source, map_size=1 << 40, readonly=True, lock=False)
    with env.begin() as transaction:
        keys = list(transaction.cursor().iternext(values=False))
        keys = keys[len(keys) * part // parts : len(keys) * (part + 1) // parts]
        with open(f"{out}.{part}", "wb") as file:
            for key in keys:
                picture = Image.open(io.BytesIO(transaction.get(key))).convert("RGB")
                w, h = picture.size
                side = min(w, h)
                x, y = (w - side) // 2, (h - side) // 2
                picture = picture.crop((x, y, x + side, y + side)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
                file.write(np.asarray(picture).tobytes())
    return len(keys)


def pillow(source, folder, processes):
    began = time.perf_counter()
    tasks = [(str(source), str(folder / "pillow"), part, processes) for part in range(processes)]
    with multiprocessing.Pool(processes) as pool:
        count = sum(pool.map(pillow_share, tasks, chunksize=1))
    return count, time.perf_counter() - began


def duel_command(duel, source, data, threads):
    return [duel, "--data", str(data), "--threads", str(threads), "data", "import", "lsun", str(source),
            "--category", "bedroom", "--size", str(SIDE), "--name", "bench"]  # fmt: skip


def duel_once(duel, source, folder, threads):
    """Seconds of one import into a fresh folder."""
    data = folder / f"duel-{threads}"
    shutil.rmtree(data, ignore_errors=True)
    began = time.perf_counter()
    subprocess.run(duel_command(duel, source, data, threads), check=True, capture_output=True)
    return time.perf_counter() - began


def peak(duel, source, folder, threads):
    """Largest VmHWM and RssAnon of an import, in MiB."""
    data = folder / "duel-peak"
    shutil.rmtree(data, ignore_errors=True)
    child = subprocess.Popen(duel_command(duel, source, data, threads), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    worst = {"VmHWM": 0, "RssAnon": 0}
    while child.poll() is None:
        try:
            for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in worst:
                    worst[name] = max(worst[name], int(value.split()[0]) / 1024)
        except (FileNotFoundError, ProcessLookupError):
            break
        time.sleep(0.02)
    assert child.wait() == 0
    return worst


def shards(folder):
    files = sorted((folder / "bench" / "train").iterdir())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def difference(source, folder, processes):
    """Largest difference of a pixel between the two, in levels of 255, and the share of pixels that differ."""
    import pyarrow as pa

    worst, differ, total = 0, 0, 0
    ours = []
    for file in sorted((folder / f"duel-{processes}" / "bench" / "train").glob("*.arrow")):
        with pa.memory_map(str(file)) as mapped:
            table = pa.ipc.open_file(mapped).read_all()
            ours += [c.storage.flatten().to_numpy().astype(np.int16) for c in table["image"].chunks]
    ours = np.concatenate(ours)
    theirs = np.concatenate([np.fromfile(folder / f"pillow.{part}", np.uint8) for part in range(processes)])
    assert ours.size == theirs.size, (ours.size, theirs.size)
    for at in range(0, ours.size, 1 << 24):
        gap = abs(ours[at : at + (1 << 24)] - theirs[at : at + (1 << 24)])
        worst, differ, total = max(worst, int(gap.max())), differ + int((gap > 0).sum()), total + gap.size
    return worst, differ / total


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("duel")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--images", type=int, default=20_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--processes", type=int, default=2)
    a = arguments.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True)
    source = make(a.folder, a.images, a.processes)
    size = (source / "data.mdb").stat().st_size
    print(f"{a.images} pictures, {size / a.images / 1000:.1f} KB each; {a.processes} threads or processes")

    rounds = []
    for turn in range(a.rounds):
        ours = duel_once(a.duel, source, a.folder, a.processes)
        count, theirs = pillow(source, a.folder, a.processes)
        assert count == a.images, count
        rounds.append({"duel": a.images / ours, "pillow": a.images / theirs, "ratio": theirs / ours})
        print("round {}: Duel {duel:.0f} images/s, Pillow {pillow:.0f}, ratio {ratio:.2f}".format(turn, **rounds[-1]), flush=True)
    ratios = sorted(r["ratio"] for r in rounds)
    median = {side: statistics.median(r[side] for r in rounds) for side in ("duel", "pillow", "ratio")}
    print("median: Duel {duel:.0f} images/s, Pillow {pillow:.0f}, ratio {ratio:.2f}".format(**median), f"({ratios[0]:.2f} to {ratios[-1]:.2f})")

    worst, share = difference(source, a.folder, a.processes)
    print(f"pixels: at most {worst} of 255 from Pillow's, {100 * share:.3f} % differ")
    duel_once(a.duel, source, a.folder, 1)
    same = shards(a.folder / "duel-1") == shards(a.folder / f"duel-{a.processes}")
    print(f"bytes for 1 and {a.processes} threads: {'the same' if same else 'DIFFERENT'}")
    memory = peak(a.duel, source, a.folder, a.processes)
    print("peak memory: {VmHWM:.0f} MiB resident with mapped files, {RssAnon:.0f} MiB without".format(**memory))
    result = {"images": a.images, "rounds": rounds, "median": median, "pixels": {"worst": worst, "share": share}, "same_bytes": same, "memory_mib": memory}
    (a.folder / "import.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
