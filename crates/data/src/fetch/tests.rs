//! Fetching without a network: the tools are scripts that act one part each.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::digest::sha256;
use crate::recipe::{Apt, Https, Importer, Npm, Split};

const IMAGES: &[u8] = b"these are the images, all of them";
const LABELS: &[u8] = b"and these the labels";

/// A home with a cache, and a folder of tools that are not installed until [`Stage::tool`] says so.
struct Stage {
    home: TempDir,
    tools: Tools,
    recipe: Recipe,
}

impl Stage {
    fn new(sources: Vec<Source>) -> Stage {
        let home = tempfile::tempdir().unwrap();
        let entry =
            |content: &[u8]| FileEntry { bytes: content.len() as u64, sha256: sha256(content) };
        let recipe = Recipe {
            name: "toy".into(),
            licence: "none".into(),
            description: "a toy".into(),
            classes: vec![],
            image: [2, 2, 1],
            importer: Importer::Idx,
            splits: BTreeMap::from([(
                "train".into(),
                Split { images: "images".into(), labels: "labels".into(), ..Split::default() },
            )]),
            files: BTreeMap::from([
                ("images".into(), entry(IMAGES)),
                ("labels".into(), entry(LABELS)),
            ]),
            by_hand: None,
            sources,
        };
        let path = |name: &str| home.path().join("bin").join(name);
        let tools = Tools {
            curl: path("curl"),
            apt_get: path("apt-get"),
            dpkg_deb: path("dpkg-deb"),
            npm: path("npm"),
        };
        fs::create_dir(home.path().join("bin")).unwrap();
        Stage { home, tools, recipe }
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("cache")
    }

    /// Puts a file into the home and says where.
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.home.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// Installs a tool: a script for the shell.
    fn tool(&self, name: &str, script: &str) {
        let path = self.home.path().join("bin").join(name);
        // Renamed into place: a file that was open for writing a moment ago may not be started yet.
        let draft = path.with_extension("draft");
        fs::write(&draft, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(draft, path).unwrap();
    }

    fn fetch(&self) -> Result<Fetched> {
        fetch_with(&self.tools, &self.recipe, &self.cache(), &mut |_, _, _| {})
    }

    /// The message of a fetch that fails, which must contain all `parts`; nothing unchecked may be left.
    #[track_caller]
    fn fails(&self, parts: &[&str]) {
        let message = self.fetch().unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "`{part}` is missing in: {message}");
        }
        let left = |e: &fs::DirEntry| e.file_name().to_string_lossy().starts_with(".fetch");
        assert_eq!(fs::read_dir(self.cache()).unwrap().flatten().filter(left).count(), 0);
    }

    #[track_caller]
    fn delivers(&self, new: &[&str]) {
        let fetched = self.fetch().unwrap();
        assert_eq!(fetched.new, new);
        assert_eq!(fs::read(fetched.path("images").unwrap()).unwrap(), IMAGES);
        assert_eq!(fs::read(fetched.path("labels").unwrap()).unwrap(), LABELS);
    }
}

fn https() -> Source {
    Source::Https(Https { at: "https://example.org/{file}.gz".into() })
}

fn apt() -> Source {
    Source::Apt(Apt { package: "dataset-toy".into(), at: "usr/share/toy/{file}.gz".into() })
}

fn npm() -> Source {
    Source::Npm(Npm {
        package: "toy-data@1.0.0".into(),
        at: Some("package/data/{file}".into()),
        file: None,
    })
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A tar archive of these members.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // Past the builder's own check, so that a test can write `..`.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A curl that answers each address with the file of that name in `home`, into `download`.
fn curl(home: &Path) -> String {
    format!("for a; do url=$a; done\ncp {}/served-$(basename $url) download", home.display())
}

#[test]
fn files_come_by_https_once() {
    let stage = Stage::new(vec![https()]);
    stage.file("served-images.gz", &gzip(IMAGES));
    stage.file("served-labels.gz", LABELS); // not gzipped whatever its name: content decides
    stage.tool("curl", &curl(stage.home.path()));
    stage.delivers(&["images", "labels"]);
    stage.tool("curl", "exit 7");
    stage.delivers(&[]);
    fs::write(stage.cache().join("labels"), "damaged").unwrap();
    stage.tool("curl", &curl(stage.home.path()));
    stage.delivers(&["labels"]);
}

/// A package may be a file as a whole; each such source has one.
#[test]
fn packages_are_files_themselves() {
    let whole = |file: &str| {
        let package = format!("toy-{file}@1.0.0");
        Source::Npm(Npm { package, at: None, file: Some(file.into()) })
    };
    let stage = Stage::new(vec![whole("images"), whole("labels")]);
    stage.file("toy-images@1.0.0.tgz", &gzip(IMAGES));
    let home = stage.home.path().display();
    stage.tool("npm", &format!("for a; do package=$a; done\ncp {home}/$package.tgz ."));
    stage.fails(&["no source delivered labels", "npm package toy-labels@1.0.0: npm: "]);
    stage.file("toy-labels@1.0.0.tgz", &gzip(LABELS));
    stage.delivers(&["labels"]);
}

#[test]
fn a_wrong_checksum_is_named_and_the_next_source_asked() {
    let stage = Stage::new(vec![https(), npm()]);
    stage.file("served-images.gz", &gzip(b"these are OTHER images, all alike"));
    stage.file("served-labels.gz", &gzip(LABELS));
    stage.tool("curl", &curl(stage.home.path()));
    let found = sha256(b"these are OTHER images, all alike");
    stage.fails(&[
        "https://example.org/images.gz",
        &found,
        &sha256(IMAGES),
        "npm package toy-data@1.0.0",
        "`",
        "is not installed",
    ]);
    let package = stage.file(
        "toy.tgz",
        &gzip(&archive(&[
            ("package/data/images", IMAGES),
            ("package/data/labels", b"wrong, but not needed"),
        ])),
    );
    stage.tool("npm", &format!("cp {package} ."));
    stage.delivers(&["images"]);
}

#[test]
fn contents_of_another_length_are_refused() {
    let stage = Stage::new(vec![https()]);
    stage.file("served-images.gz", &gzip(&[0; 1 << 20]));
    stage.file("served-labels.gz", &gzip(&LABELS[1..]));
    stage.tool("curl", &curl(stage.home.path()));
    stage.fails(&[
        "images.gz: found more bytes uncompressed, expected 33",
        "labels.gz: found 19 bytes uncompressed, expected 20",
    ]);
    assert!(!stage.cache().join("images").exists());
}

#[test]
fn a_download_that_never_ends_is_stopped() {
    let stage = Stage::new(vec![https()]);
    stage.tool("curl", "exec cat /dev/zero > download");
    stage.fails(&["https://example.org/images.gz: curl: stopped, because it delivers more than"]);
}

#[test]
fn without_network_one_error_lists_all() {
    let stage = Stage::new(vec![https(), apt(), npm()]);
    stage.tool("curl", "echo 'curl: (6) Could not resolve host: example.org' >&2; exit 6");
    stage.tool("apt-get", "echo 'E: Unable to locate package dataset-toy' >&2; exit 100");
    stage.fails(&[
        "recipe `toy`: no source delivered images, labels",
        "https://example.org/images.gz: curl: exit status: 6: curl: (6) Could not resolve host",
        "Debian package dataset-toy: apt-get: exit status: 100: E: Unable to locate package dataset-toy",
        "npm package toy-data@1.0.0: `",
        "/npm` is not installed",
        "put images, labels into",
        "cache, gzipped with the suffix .gz or not",
    ]);
}

#[test]
fn files_placed_by_hand_are_taken() {
    let stage = Stage::new(vec![https()]);
    fs::create_dir(stage.cache()).unwrap();
    fs::write(stage.cache().join("images.gz"), gzip(IMAGES)).unwrap();
    fs::write(stage.cache().join("labels"), LABELS).unwrap();
    stage.delivers(&["images"]);
}

#[test]
fn files_come_from_debian_with_package_lists_of_our_own() {
    let stage = Stage::new(vec![apt()]);
    let tar = stage.file(
        "toy.tar",
        &archive(&[
            ("./usr/share/toy/images.gz", &gzip(IMAGES)),
            ("./usr/share/toy/labels.gz", &gzip(LABELS)),
        ]),
    );
    stage.tool("dpkg-deb", &format!("[ \"$1\" = --fsys-tarfile ] && cat {tar}"));
    // Knows the package only with lists that it has fetched into the folder it was told.
    let lists = r#"for a; do case $a in Dir::State::Lists=*) lists=${a#*=};; esac; done
[ -z "$lists" ] && { echo 'E: Unable to locate package'; exit 100; }
case "$*" in
  *update) touch "$lists/known";;
  *"download dataset-toy") [ -e "$lists/known" ] && touch dataset-toy_1_all.deb;;
esac"#;
    stage.tool("apt-get", lists);
    stage.delivers(&["images", "labels"]);
    assert!(stage.cache().join(".apt/lists/known").exists());
}

#[test]
fn a_hostile_archive_writes_nothing_outside() {
    let stage = Stage::new(vec![npm()]);
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    let mut builder = tar::Builder::new(archive(&[
        ("../../escaped", b"x"),
        ("/tmp/../escaped", b"x"),
        ("package/data/labels", LABELS),
    ]));
    // The archive so far ends with two empty blocks; what follows replaces them.
    let end = builder.get_ref().len() - 1024;
    builder.get_mut().truncate(end);
    builder.append_link(&mut link, "package/data/images", "/etc/passwd").unwrap();
    let package = stage.file("toy.tgz", &gzip(&builder.into_inner().unwrap()));
    stage.tool("npm", &format!("cp {package} ."));
    stage.fails(&["no source delivered images\n", "it holds no plain file package/data/images"]);
    let mut names: Vec<_> =
        fs::read_dir(stage.cache()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["labels"]);
    assert!(!stage.home.path().join("escaped").exists());
}

#[test]
fn a_package_that_is_no_archive_is_refused() {
    let stage = Stage::new(vec![npm()]);
    let package = stage.file("toy.tgz", b"<html>not found</html>");
    stage.tool("npm", &format!("cp {package} ."));
    stage.fails(&["npm package toy-data@1.0.0: not a readable tar archive"]);
    stage.tool("npm", "true");
    stage.fails(&["it was to deliver one .tgz file and delivered 0"]);
}

#[test]
fn a_recipe_cannot_say_more_than_it_should() {
    let refused = |change: &dyn Fn(&mut Recipe), part: &str| {
        let mut stage = Stage::new(vec![https()]);
        change(&mut stage.recipe);
        let message = stage.fetch().unwrap_err().to_string();
        assert!(message.contains(part), "`{part}` is missing in: {message}");
        assert!(!stage.cache().exists());
    };
    refused(&|r| r.name = "../up".into(), "name: found `../up`");
    refused(&|r| r.sources = vec![], "sources: found none");
    refused(
        &|r| r.splits.get_mut("train").unwrap().images = "image".into(),
        "splits.train.images: found `image`, expected one of `files`: images, labels",
    );
    refused(&|r| r.files.get_mut("images").unwrap().sha256.push('0'), "files.images.sha256");
    let source = |source: Source| move |r: &mut Recipe| r.sources = vec![source.clone()];
    refused(
        &source(Source::Https(Https { at: "http://example.org/{file}".into() })),
        "sources[0].https.at: found `http://",
    );
    refused(
        &source(Source::Apt(Apt { package: "-o=evil".into(), at: "{file}".into() })),
        "sources[0].apt.package",
    );
    refused(
        &source(Source::Apt(Apt { package: "toy".into(), at: "../{file}".into() })),
        "sources[0].apt.at",
    );
    refused(
        &source(Source::Npm(Npm { package: "toy".into(), at: Some("{file}".into()), file: None })),
        "sources[0].npm.package",
    );
    refused(
        &source(Source::Npm(Npm {
            package: "../x@1.0.0".into(),
            at: Some("{file}".into()),
            file: None,
        })),
        "sources[0].npm.package",
    );
    refused(
        &source(Source::Npm(Npm {
            package: "toy@1.0.0".into(),
            at: Some("/{file}".into()),
            file: None,
        })),
        "sources[0].npm.at",
    );
}

#[test]
fn unknown_keys_of_a_recipe_are_errors() {
    let json = serde_json::to_value(&Stage::new(vec![https(), npm()]).recipe).unwrap();
    serde_json::from_value::<Recipe>(json.clone()).unwrap();
    let mut extra = json.clone();
    extra["licens"] = "MIT".into();
    assert!(serde_json::from_value::<Recipe>(extra).unwrap_err().to_string().contains("`licens`"));
    let mut extra = json;
    extra["sources"][0]["https"]["sha1"] = "0".into();
    assert!(serde_json::from_value::<Recipe>(extra).unwrap_err().to_string().contains("`sha1`"));
}
