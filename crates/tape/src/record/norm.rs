//! Batch norm (Ioffe & Szegedy 2015), with statistics of the whole world, or of each rank.

use crate::op::{Act, Op};
use crate::{Init, Network, T, Tape};

/// Parameters and running statistics of one batch norm over c channels.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// γ, `[c]`.
    pub gain: T,
    /// β, `[c]`.
    pub shift: T,
    /// Running mean and variance, `[2, c]`.
    pub running: T,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of a batch in the running statistics.
    pub momentum: f64,
}

/// Which statistics a batch norm uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// Those of the batch.
    Batch,
    /// Those of the batch, which also update the running ones when the step is committed.
    BatchAndUpdate,
    /// The running ones.
    Running,
}

impl Tape {
    /// A batch norm's parameters, gain drawn from N(1, 0.02) and shift 0, as the 2015 code has them.
    #[track_caller]
    pub fn norm(&self, network: Network, name: &str, channels: usize, eps: f64) -> Norm {
        use crate::op::Law;
        let gain = Init::Draw(Law::Normal { mean: 1.0, std: 0.02 });
        Norm {
            gain: self.parameter(network, &format!("{name}.gain"), [channels], gain),
            shift: self.parameter(
                network,
                &format!("{name}.shift"),
                [channels],
                Init::Constant(0.0),
            ),
            running: self.buffer(
                network,
                &format!("{name}.running"),
                [2, channels],
                Init::Rows(vec![0.0, 1.0]),
            ),
            eps,
            momentum: 0.1,
        }
    }

    /// Normalises x over all but its last extent: `γ (x − mean) / √(var + ε) + β`.
    #[track_caller]
    pub fn batch_norm(&self, x: T, norm: &Norm, statistics: Statistics) -> T {
        let shape = self.shape(x);
        let c = shape.channels();
        assert!(
            self.shape(norm.gain).len() == c,
            "batch_norm: {shape:?} with {:?} gains",
            self.shape(norm.gain)
        );
        let eps = norm.eps;
        let used = if statistics == Statistics::Running {
            self.push(Op::StoredStatistics { eps }, &[norm.running], [2, c])
        } else {
            let own = self.push(Op::Moments, &[x, norm.running], [2 * c + 1]);
            let by_rank = self.inner.borrow().norms_by_rank;
            let sums = if by_rank { own } else { self.all_reduce(own) };
            if statistics == Statistics::BatchAndUpdate {
                let world = if by_rank { self.all_reduce(own) } else { sums };
                self.inner.borrow_mut().pending.push((world, norm.running, norm.momentum));
            }
            self.push(Op::Statistics { eps }, &[sums, norm.running], [2, c])
        };
        self.push(Op::Normalize(Act::None), &[x, used, norm.gain, norm.shift], shape)
    }
}
