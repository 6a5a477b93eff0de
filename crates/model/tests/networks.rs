//! The networks have the parameters and shapes that the papers and their code give them.

use model::{Dcgan, Gan, Goodfellow, Model, NormKind};
use tape::{Dtype, Network, Op, Options, Statistics, Tape};

fn count(t: &Tape, network: Network) -> usize {
    t.shape(t.flat(network)).len()
}

fn sizes(model: Model, sample: [usize; 3]) -> [usize; 2] {
    model.check(sample).unwrap();
    let t = Tape::new(1);
    let gan = Gan::new(&t, &model, sample);
    t.record("forward", |t| {
        let z = gan.noise(t, 3);
        let x = gan.generate(t, z, Statistics::Batch);
        let [h, w, c] = sample;
        assert_eq!(t.shape(x).dims(), [3, h, w, c]);
        let logits = gan.discriminate(t, x, Statistics::Batch);
        assert_eq!(t.shape(logits).dims(), [3, 1]);
    });
    [count(&t, gan.g), count(&t, gan.d)]
}

/// 100·1200 + 1200 + 1200² + 1200 + 1200·784 + 784, and 784·1200 + 1200 + 240·1200 + 1200 + 240 + 1.
#[test]
fn goodfellow_mnist_has_the_published_sizes() {
    let model = Model::Goodfellow(Goodfellow::default());
    assert_eq!(sizes(model, [28, 28, 1]), [2_503_984, 1_231_441]);
}

#[test]
fn goodfellow_serves_numbers() {
    let model: Model = serde_json::from_str(
        r#"{"goodfellow": {"generator": {"latent": 1, "hidden": [8], "output": "linear"},
                           "discriminator": {"maxout": [4], "pieces": 2, "keep_input": 1, "keep_hidden": 1}}}"#,
    )
    .unwrap();
    assert_eq!(sizes(model, [1, 1, 1]), [8 + 8 + 8 + 1, 8 + 8 + 4 + 1]);
}

/// `sum(p.numel() for p in netG.parameters())` of pytorch/examples `dcgan/main.py`, and netD's.
#[test]
fn dcgan_has_the_sizes_of_the_pytorch_example() {
    let model = Model::Dcgan(Dcgan { width: 64, kernel: 4, ..Dcgan::default() });
    assert_eq!(sizes(model, [64, 64, 3]), [3_576_704, 2_765_568]);
}

/// The 2015 code has 18,885,760 and 17,232,768: it normalises each of the 16,384 projected numbers
/// by itself, where the paper and everyone since normalise 1,024 channels.
#[test]
fn dcgan_has_the_sizes_of_the_paper() {
    let [g, d] = sizes(Model::Dcgan(Dcgan::default()), [64, 64, 3]);
    assert_eq!(g, 18_885_760 - 2 * (16_384 - 1_024));
    assert_eq!(d, 17_232_768);
}

#[test]
fn dcgan_of_every_size_is_recorded() {
    for image in [16, 32, 64, 128, 256] {
        for kernel in [4, 5] {
            for norm in [NormKind::Batch, NormKind::None] {
                let model = Dcgan {
                    image,
                    kernel,
                    channels: 1,
                    width: 2,
                    norm_g: norm,
                    norm_d: norm,
                    ..Dcgan::default()
                };
                sizes(Model::Dcgan(model), [image, image, 1]);
            }
        }
    }
}

/// One kind of operation in a program that feeds `rows` through D.
fn dropouts(model: &Model, statistics: Statistics) -> usize {
    let t = Tape::new(1);
    let gan = Gan::new(&t, model, [28, 28, 1]);
    let x = t.input("x", Dtype::U8, [2, 28, 28, 1]);
    let program = t.record("judge", |t| {
        let logits = gan.discriminate(t, gan.preprocess(t, x), statistics);
        t.output("logits", logits);
    });
    let compiled = t.compile(&Options::default());
    let nodes = &compiled.program(program).nodes;
    let is_dropout = |n: &&tape::Node| matches!(n.op, Op::Dropout { .. });
    nodes.iter().filter(is_dropout).count()
}

#[test]
fn dropout_is_for_training_and_can_be_switched_off() {
    let mut model = Goodfellow::default();
    let with = Model::Goodfellow(model.clone());
    assert_eq!(dropouts(&with, Statistics::Batch), 3);
    assert_eq!(dropouts(&with, Statistics::Running), 0);
    model.discriminator.keep_input = 1.0;
    model.discriminator.keep_hidden = 1.0;
    assert_eq!(dropouts(&Model::Goodfellow(model), Statistics::Batch), 0);
}

/// Batch norm stands everywhere but on G's output and D's input.
#[test]
fn norms_stand_where_the_paper_has_them() {
    let t = Tape::new(1);
    let gan = Gan::new(&t, &Model::Dcgan(Dcgan::default()), [64, 64, 3]);
    let names = |network| -> Vec<String> {
        let all = t.parameters(network);
        all.iter().filter_map(|&p| t.tensor(p).name.clone()).collect()
    };
    let gains = |network| names(network).iter().filter(|n| n.ends_with(".gain")).count();
    assert_eq!(names(gan.g)[0], "generator.0.weight");
    assert_eq!((gains(gan.g), gains(gan.d)), (4, 3));
    assert!(!names(gan.g).contains(&"generator.4.gain".to_string()));
    assert!(!names(gan.d).contains(&"discriminator.0.gain".to_string()));
}

/// Bytes 0 and 255 go to the ends of the range of G's output.
#[test]
fn pixels_are_scaled_to_the_range_of_the_output() {
    for (model, expected) in [
        (Model::Goodfellow(Goodfellow::default()), [1.0 / 255.0, 0.0]),
        (Model::Dcgan(Dcgan::default()), [2.0 / 255.0, -1.0]),
    ] {
        let t = Tape::new(1);
        let gan = Gan::new(&t, &model, [64, 64, 3]);
        let x = t.input("x", Dtype::U8, [2, 64, 64, 3]);
        let program = t.record("scale", |t| {
            t.output("scaled", gan.preprocess(t, x));
        });
        let compiled = t.compile(&Options::default());
        let Op::Convert { scale, shift } = compiled.program(program).nodes[0].op else {
            panic!("expected a conversion")
        };
        assert_eq!([scale, shift], expected);
    }
}
