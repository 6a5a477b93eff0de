//! Python's libraries and Duel, from both sides: pyarrow reads shards as tensors, Pillow decodes and resizes the
//! same pixels, LMDBs that Python wrote are imported. Needs what `tests/readers/setup.sh` makes.

use data::Shards;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::duel::Place;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// Python with its libraries; none where they are not there and need not be.
pub(crate) fn python() -> Option<PathBuf> {
    let asked = std::env::var("DUEL_READERS").ok();
    let folder = asked.as_deref().filter(|asked| *asked != "required").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/readers");
    let python = folder.unwrap_or_else(beside).join("bin/python");
    if python.is_file() {
        return Some(python);
    }
    assert!(asked.is_none(), "{}: no such file; tests/readers/setup.sh makes it", python.display());
    println!("{}: not there; nothing was read with Python", python.display());
    None
}

/// Runs a script in the place, and returns what it prints.
fn run(python: &Path, place: &Place, script: &str) -> String {
    let output = Command::new(python).arg("-c").arg(script).current_dir(place.path("")).output();
    let output = output.expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn pyarrow_reads_shards_as_tensors() {
    let Some(python) = python() else { return };
    let place = Place::furnished(DUEL);
    let script = "
import glob, numpy, pyarrow as pa
rows = []
for path in sorted(glob.glob('datasets/tiny/train/*.arrow')):
    table = pa.ipc.open_file(pa.memory_map(path)).read_all()
    assert isinstance(table.schema.field('image').type, pa.FixedShapeTensorType), table.schema
    assert table.schema.field('image').type.dim_names == ['H', 'W', 'C']
    rows += [chunk.to_numpy_ndarray() for chunk in table['image'].chunks]
images = numpy.concatenate(rows)
print(images.shape, images.dtype)
images.tofile('images')
";
    let (images, side) = (tests::duel::IMAGES, tests::duel::SIDE);
    assert_eq!(run(&python, &place, script), format!("({images}, {side}, {side}, 1) uint8\n"));
    let expected: Vec<u8> = tests::duel::pixels(images, side).flatten().collect();
    assert!(place.read("images") == expected);
}

/// An LMDB as LSUN's own tools write and read it (github.com/fyu/lsun, data.py): the unnamed database, SHA-1 in
/// hexadecimal to WebP of quality 75, the shorter side 256.
const WRITE: &str = "
import hashlib, io, lmdb, numpy
from PIL import Image
env = lmdb.open('bedroom_train_lmdb', map_size=1 << 32)
rng = numpy.random.default_rng(0)
with env.begin(write=True) as transaction:
    for i, (w, h, kind) in enumerate([(341, 256, 'WEBP'), (256, 341, 'WEBP'), (455, 256, 'WEBP'),
                                      (256, 256, 'WEBP'), (347, 257, 'WEBP'), (341, 256, 'JPEG')]):
        y, x = numpy.mgrid[0:h, 0:w]
        slow = numpy.stack([numpy.sin((x * (c + 1) + y * (i + 2)) / 40) for c in range(3)], -1) * 60
        edges = 90 * ((x // 37 + y // 29) % 2)[..., None] * numpy.array([1, .3, .8])
        picture = numpy.clip(70 + slow + edges + rng.normal(0, 12, (h, w, 3)), 0, 255).astype('u1')
        into = io.BytesIO()
        Image.fromarray(picture).save(into, kind, quality=75)
        transaction.put(hashlib.sha1(into.getvalue()).hexdigest().encode(), into.getvalue())
env.close()
";

const PILLOW: &str = "
import io, lmdb, numpy
from PIL import Image
env = lmdb.open('bedroom_train_lmdb', map_size=1 << 40, max_readers=100, readonly=True, lock=False)
with env.begin() as transaction, open('rows', 'wb') as rows:
    for key, value in transaction.cursor():
        picture = Image.open(io.BytesIO(value))
        print(key.decode(), picture.format)
        picture = picture.convert('RGB')
        w, h = picture.size
        side = min(w, h)
        x, y = (w - side) // 2, (h - side) // 2
        picture = picture.crop((x, y, x + side, y + side))
        rows.write(numpy.asarray(picture.resize((64, 64), Image.Resampling.BILINEAR)).tobytes())
";

#[test]
fn an_lmdb_by_python_gives_pillows_pixels() {
    let Some(python) = python() else { return };
    let place = Place::new(DUEL);
    run(&python, &place, WRITE);
    let names = place.files("bedroom_train_lmdb").into_keys().collect::<Vec<_>>();
    place.duel("data import lsun bedroom_train_lmdb --category bedroom --size 64").fine();
    assert_eq!(place.files("bedroom_train_lmdb").into_keys().collect::<Vec<_>>(), names);
    let said = run(&python, &place, PILLOW);
    let shards = Shards::open(&place.path("datasets/lsun_bedroom_64/train")).expect("shards");
    let rows = place.read("rows");
    assert_eq!(shards.len(), 6);
    for (i, line) in said.lines().enumerate() {
        let (key, format) = line.split_once(' ').expect("key and format");
        assert_eq!(shards.key(i).expect("a row"), key);
        let theirs = &rows[i * 64 * 64 * 3..][..64 * 64 * 3];
        let apart = shards.image(i).expect("a row").iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
        let worst = apart.max().expect("pixels");
        // WebP: both decode with libwebp, and both filters round in fixed point. JPEG: two decoders, each
        // within what the standard's accuracy test of the inverse transform allows, then an average of 8×8.
        let allowed = if format == "WEBP" { 1 } else { 2 };
        assert!(worst <= allowed, "{key}, {format}: {worst} levels apart");
    }
}
