//! The networks have the parameters and shapes that the papers and their code give them.

use model::{ActivationD, ActivationG, Dcgan, Down, Gan, Goodfellow, Model, NormKind, Squash, Up};
use tape::{Act, Dtype, Fused, Network, Op, Options, Pass, Read, Statistics, Tape};

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

/// What each switch adds to the paper's networks, at 64 pixels and width 128.
#[test]
fn switches_change_the_sizes_by_what_they_say() {
    let size = |model| sizes(Model::Dcgan(model), [64, 64, 3]);
    let paper = Dcgan::default;
    let [g, d] = size(paper());
    // Weights of a convolution do not know its stride.
    assert_eq!(size(Dcgan { down: Down::MaxPool, up: Up::Nearest, ..paper() }), [g, d]);
    // Gains go, shifts become biases: of 1024 … 128 channels in G, of 256 … 1024 in D.
    let none = Dcgan { norm_g: NormKind::None, norm_d: NormKind::None, ..paper() };
    assert_eq!(size(none), [g - 1_920, d - 1_792]);
    // Gain and shift of 3 and of 128 channels, where the network is normalised at all.
    assert_eq!(size(Dcgan { norm_ends: true, ..paper() }), [g + 2 * 3, d + 2 * 128]);
    let half = Dcgan { norm_ends: true, norm_d: NormKind::None, ..paper() };
    assert_eq!(size(half), [g + 2 * 3, d - 1_792]);
    // 100·1024 with a norm before 1024·16384 instead of 100·16384; 16384·1024 with a norm before 1024
    // instead of 16384.
    let flat = 4 * 4 * 1024;
    let expected = [g + 924 * flat + (100 + 2) * 1024, d + 1023 * flat + (2 + 1) * 1024];
    assert_eq!(size(Dcgan { hidden_fc: 1024, ..paper() }), expected);
    // Everything but the logit is there three times.
    let maxout = Dcgan { activation_d: ActivationD::Maxout, pieces: 3, ..paper() };
    assert_eq!(size(maxout.clone()), [g, 3 * (d - flat) + flat]);
    let hidden = 3 * (d - flat) + 3 * (flat + 2) * 1024 + 1024;
    assert_eq!(size(Dcgan { hidden_fc: 1024, ..maxout })[1], hidden);
    // Functions have no parameters.
    let functions = Dcgan {
        activation_g: ActivationG::Tanh,
        output: Squash::Sigmoid,
        slope: 0.0,
        pieces: 5,
        ..paper()
    };
    assert_eq!(size(functions), [g, d]);
}

/// The operations of G and D on fakes, fused.
fn forward(model: Dcgan) -> Vec<Op> {
    let sample = [model.image, model.image, model.channels];
    let t = Tape::new(1);
    let gan = Gan::new(&t, &Model::Dcgan(model), sample);
    let program = t.record("forward", |t| {
        let x = gan.generate(t, gan.noise(t, 3), Statistics::Batch);
        t.output("logits", gan.discriminate(t, x, Statistics::Batch));
    });
    let compiled = t.compile(&Options::default());
    compiled.program(program).nodes.iter().map(|n| n.op.clone()).collect()
}

fn times(ops: &[Op], is: impl Fn(&Op) -> bool) -> usize {
    ops.iter().filter(|op| is(op)).count()
}

/// The activation behind a norm, wherever the two are computed.
fn act(op: &Op) -> Option<Act> {
    match op {
        Op::Normalize(act) => Some(*act),
        Op::Fused(fused) => match fused.reads[0] {
            Read::Normalized { slope: 1.0 } => Some(Act::None),
            Read::Normalized { slope } => Some(Act::Leaky(slope)),
            _ => None,
        },
        _ => None,
    }
}

/// At 32 pixels G has three layers that double and D three that halve.
#[test]
fn pooling_networks_have_no_stride() {
    let model = Dcgan { image: 32, width: 2, ..Dcgan::default() };
    let strided = forward(model.clone());
    let convolution = |op: &Op, pass, stride| {
        Fused::of(op).filter(|fused| fused.pass == pass && fused.conv.stride == stride)
    };
    assert_eq!(times(&strided, |op| convolution(op, Pass::Dgrad, 2).is_some()), 3);
    assert_eq!(times(&strided, |op| convolution(op, Pass::Fprop, 2).is_some()), 3);
    for kernel in [4, 5] {
        let model = Dcgan { kernel, down: Down::MaxPool, up: Up::Nearest, ..model.clone() };
        let pooled = forward(model);
        let whole = |op: &Op| {
            let found = convolution(op, Pass::Fprop, 1).map(|fused| fused.conv);
            found.is_some_and(|c| [c.p, c.q] == [c.h, c.w])
        };
        assert_eq!(times(&pooled, whole), 6);
        assert_eq!(times(&pooled, |op| op.name() == "dgrad"), 0);
        assert_eq!(times(&pooled, |op| matches!(op, Op::PoolPick(_))), 3);
        assert_eq!(times(&pooled, |op| matches!(op, Op::Upsample(_))), 3);
        // The pool is before the norm, which keeps its activation: 3 in G, 2 in D.
        assert_eq!(times(&pooled, |op| act(op) == Some(Act::Leaky(0.0))), 3);
        assert_eq!(times(&pooled, |op| act(op) == Some(Act::Leaky(0.2))), 2);
    }
}

/// Norm and activation are one operation, whichever: 2 norms in G and 1 in D at 16 pixels.
#[test]
fn norms_take_the_activation_behind_them() {
    let small = || Dcgan { image: 16, width: 2, ..Dcgan::default() };
    let acts = |model| -> Vec<Act> { forward(model).iter().filter_map(act).collect() };
    let (relu, leaky) = (Act::Leaky(0.0), Act::Leaky(0.2));
    assert_eq!(acts(small()), [relu, relu, leaky]);
    let tanh = Dcgan { activation_g: ActivationG::Tanh, slope: 0.0, ..small() };
    assert_eq!(acts(tanh), [Act::Tanh, Act::Tanh, relu]);
    let leak = Dcgan { activation_g: ActivationG::LeakyRelu, slope: 0.1, ..small() };
    assert_eq!(acts(leak), [Act::Leaky(0.1); 3]);
    let ends = Dcgan { norm_ends: true, output: Squash::Sigmoid, ..small() };
    assert_eq!(acts(ends), [relu, relu, Act::Sigmoid, leaky, leaky]);
    let maxout = Dcgan { activation_d: ActivationD::Maxout, hidden_fc: 6, ..small() };
    assert_eq!(acts(maxout), [relu, relu, relu, Act::None, Act::None]);
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
        (Model::Dcgan(Dcgan { output: Squash::Sigmoid, ..Dcgan::default() }), [1.0 / 255.0, 0.0]),
    ] {
        let [black, white] = model.range();
        assert_eq!([(white - black) / 255.0, black], expected);
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
