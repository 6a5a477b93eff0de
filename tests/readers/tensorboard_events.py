"""What TensorBoard itself reads in a run's events, as JSON on standard output.

usage: tensorboard_events.py RUN/tensorboard
"""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0})
events.Reload()
tags = events.Tags()
scalars = {tag: [[e.step, e.value, e.wall_time] for e in events.Scalars(tag)] for tag in tags["scalars"]}
images = {
    tag: [[e.step, e.width, e.height, e.encoded_image_string.hex()] for e in events.Images(tag)]
    for tag in tags["images"]
}
json.dump({"scalars": scalars, "images": images}, sys.stdout)
