//! Convolutions and matrix products.

use crate::op::Op;
use crate::{Conv, Shape, T, Tape};

/// Kernel size, step and leading zeros of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Step between neighbouring features.
    pub stride: usize,
    /// Zeros before the first row and column.
    pub pad: usize,
}

impl Tape {
    /// Convolution of images x `[n,h,w,c]` with weights w `[k,r,s,c]` to features
    /// `[n, h/stride, w/stride, k]`; zeros outside the image, as many after it as that takes.
    #[track_caller]
    pub fn fprop(&self, x: T, w: T, window: Window) -> T {
        let [n, h, width, c] = self.shape(x).nhwc();
        let conv = self.geometry(window, [n, h, width, c], w);
        let y = [n, conv.p, conv.q, conv.k];
        self.push(Op::Fprop(conv), &[x, w], y)
    }

    /// Transposed convolution: the adjoint of [`Tape::fprop`] in its image. Features dy `[n,p,q,k]`
    /// with weights `[k,r,s,c]` to images `[n, p·stride, q·stride, c]`.
    #[track_caller]
    pub fn dgrad(&self, dy: T, w: T, window: Window) -> T {
        let [n, p, q, _] = self.shape(dy).nhwc();
        let [_, _, _, c] = self.shape(w).nhwc();
        let image = [n, p * window.stride, q * window.stride, c];
        let conv = self.geometry(window, image, w);
        assert!(
            self.shape(dy).nhwc() == [n, conv.p, conv.q, conv.k],
            "dgrad: features {:?} do not fit weights {:?}",
            self.shape(dy),
            self.shape(w)
        );
        self.push_dgrad(conv, dy, w)
    }

    #[track_caller]
    fn geometry(&self, window: Window, [n, h, w, c]: [usize; 4], weights: T) -> Conv {
        let Window { kernel, stride, pad } = window;
        let [k, r, s, channels] = self.shape(weights).nhwc();
        assert!(
            [r, s, channels] == [kernel, kernel, c],
            "convolution: weights {:?} do not fit kernel {kernel} and {c} channels",
            self.shape(weights)
        );
        assert!(
            h % stride == 0 && w % stride == 0 && pad < kernel,
            "convolution: {h}×{w} pixels, kernel {kernel}, stride {stride}, pad {pad}"
        );
        Conv { n, h, w, c, p: h / stride, q: w / stride, k, r, s, stride, pad }
    }

    #[track_caller]
    pub(crate) fn push_fprop(&self, conv: Conv, x: T, w: T) -> T {
        self.push(Op::Fprop(conv), &[x, w], [conv.n, conv.p, conv.q, conv.k])
    }

    #[track_caller]
    pub(crate) fn push_dgrad(&self, conv: Conv, dy: T, w: T) -> T {
        self.push(Op::Dgrad(conv), &[dy, w], [conv.n, conv.h, conv.w, conv.c])
    }

    #[track_caller]
    pub(crate) fn push_wgrad(&self, conv: Conv, x: T, dy: T) -> T {
        let op = Op::Wgrad { conv, accumulate: false };
        self.push(op, &[x, dy], [conv.k, conv.r, conv.s, conv.c])
    }

    /// Matrix product of a `[m,k]` and b `[k,n]`.
    #[track_caller]
    pub fn matmul(&self, a: T, b: T) -> T {
        self.matmul_of(a, false, b, false)
    }

    /// Matrix product with either operand transposed first.
    #[track_caller]
    pub fn matmul_of(&self, a: T, ta: bool, b: T, tb: bool) -> T {
        let turned = |t: T, turn: bool| {
            let [rows, columns] = self.shape(t).matrix();
            if turn { [columns, rows] } else { [rows, columns] }
        };
        let ([m, k], [inner, n]) = (turned(a, ta), turned(b, tb));
        assert!(k == inner, "matmul: {:?} times {:?}", self.shape(a), self.shape(b));
        self.push(Op::Matmul { ta, tb, accumulate: false }, &[a, b], [m, n])
    }

    /// The same elements in another shape.
    #[track_caller]
    pub fn reshape(&self, x: T, shape: impl Into<Shape>) -> T {
        let (from, to) = (self.shape(x), shape.into());
        assert!(from.len() == to.len(), "reshape: {from:?} to {to:?}");
        if from == to {
            return x;
        }
        self.push_view(Op::Reshape, x, 0, to)
    }

    /// Elements `offset .. offset + shape.len()` of a tensor.
    #[track_caller]
    pub fn slice(&self, x: T, offset: usize, shape: impl Into<Shape>) -> T {
        let shape = shape.into();
        let whole = self.shape(x);
        assert!(offset + shape.len() <= whole.len(), "slice: {shape:?} at {offset} of {whole:?}");
        self.push_view(Op::Slice { offset }, x, offset, shape)
    }
}
