//! Max pooling and nearest-neighbour upsampling: half the side, and twice the side.

use crate::op::Op;
use crate::{Blocks, T, Tape};

impl Tape {
    /// The largest of each 2×2 block, per channel: `[n, h, w, c] → [n, h/2, w/2, c]`. Among equals the
    /// first wins, row by row.
    #[track_caller]
    pub fn max_pool(&self, x: T) -> T {
        let blocks = self.blocks("max_pool", x);
        self.pool_pick(blocks, x, x)
    }

    /// v where x is largest within each block.
    #[track_caller]
    pub(crate) fn pool_pick(&self, blocks: Blocks, v: T, x: T) -> T {
        self.push(Op::PoolPick(blocks), &[v, x], blocks.pixels())
    }

    /// The adjoint of [`Tape::pool_pick`] in v.
    #[track_caller]
    pub(crate) fn pool_scatter(&self, blocks: Blocks, dy: T, x: T) -> T {
        self.push(Op::PoolScatter(blocks), &[dy, x], blocks.images())
    }

    /// Each pixel four times: `[n, h, w, c] → [n, 2h, 2w, c]`.
    #[track_caller]
    pub fn upsample(&self, x: T) -> T {
        let [n, h, w, c] = self.shape(x).nhwc();
        let blocks = Blocks { n, h: 2 * h, w: 2 * w, c };
        self.push(Op::Upsample(blocks), &[x], blocks.images())
    }

    /// The sum of each 2×2 block, the adjoint of [`Tape::upsample`]:
    /// `[n, h, w, c] → [n, h/2, w/2, c]`.
    #[track_caller]
    pub fn block_sum(&self, x: T) -> T {
        let blocks = self.blocks("block_sum", x);
        self.push(Op::BlockSum(blocks), &[x], blocks.pixels())
    }

    #[track_caller]
    fn blocks(&self, name: &str, x: T) -> Blocks {
        let [n, h, w, c] = self.shape(x).nhwc();
        assert!(h % 2 == 0 && w % 2 == 0, "{name}: {h}×{w} pixels are not whole blocks of 2×2");
        Blocks { n, h, w, c }
    }
}
