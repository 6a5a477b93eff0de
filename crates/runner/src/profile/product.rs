//! Which nodes are products, of which weight, and over how many terms they sum.

use tape::{Compiled, Fused, Home, Kind, Node, Op, Pass, T};

/// A node as a product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Product {
    pub pass: Pass,
    pub is_convolution: bool,
    /// The two tensors that are multiplied.
    pub factors: [T; 2],
    /// Terms of each sum, K.
    pub depth: u64,
    /// 2 for each multiply-add of the definition.
    pub flop: u64,
}

/// Convolutions, fused ones among them, and products of matrices.
pub(super) fn product(compiled: &Compiled, node: &Node) -> Option<Product> {
    match &node.op {
        Op::Matmul { ta, tb, .. } => {
            let [rows, columns] = compiled.tensor(node.ins[0]).shape.matrix();
            let depth = if *ta { rows } else { columns } as u64;
            let pass = match weight_in(compiled, node.ins[1]) {
                Some(_) if *tb => Pass::Dgrad,
                Some(_) => Pass::Fprop,
                None if weight_in(compiled, node.ins[0]).is_some() => Pass::Fprop,
                None => Pass::Wgrad,
            };
            let (factors, flop) = ([node.ins[0], node.ins[1]], compiled.flops(node));
            Some(Product { pass, is_convolution: false, factors, depth, flop })
        }
        op => Fused::of(op).map(|fused| convolution(&fused, node)),
    }
}

fn convolution(fused: &Fused, node: &Node) -> Product {
    let Fused { pass, conv, .. } = fused;
    let depth = match pass {
        Pass::Fprop => conv.r * conv.s * conv.c,
        // A pixel lies below one tap in `stride²`.
        Pass::Dgrad => (conv.r * conv.s * conv.k).div_ceil(conv.stride * conv.stride),
        Pass::Wgrad => conv.n * conv.p * conv.q,
    };
    // The first operand of a read is what is multiplied, whatever is done to it on the way.
    let factors = fused.operands(&node.ins).reads.map(|read| read[0]);
    Product {
        pass: *pass,
        is_convolution: true,
        factors,
        depth: depth as u64,
        flop: 2 * conv.macs(),
    }
}

/// The weight that a product is about: a factor, or the one that a factor of it was multiplied with
/// elsewhere in the program, as x was if this is the gradient of a weight.
pub(super) fn weight(compiled: &Compiled, nodes: &[Node], of: &Product) -> Option<T> {
    let own = of.factors.iter().find_map(|&t| weight_in(compiled, t));
    own.or_else(|| {
        let memory = |t: T| home(compiled, t);
        nodes.iter().find_map(|node| {
            let other =
                product(compiled, node).filter(|p| p.is_convolution == of.is_convolution)?;
            let weight = other.factors.iter().find_map(|&t| weight_in(compiled, t))?;
            let shared =
                other.factors.iter().any(|&t| of.factors.iter().any(|&u| memory(t) == memory(u)));
            shared.then_some(weight)
        })
    })
}

/// The parameter that a tensor is, or is a view of.
fn weight_in(compiled: &Compiled, t: T) -> Option<T> {
    let tensor = compiled.tensor(t);
    match (tensor.kind, &tensor.name, tensor.home) {
        (Kind::State, Some(_), _) => Some(t),
        (_, _, Home::Within { of, .. }) => weight_in(compiled, of),
        _ => None,
    }
}

/// Which elements a tensor is: those of its own, or of another from some element on.
fn home(compiled: &Compiled, t: T) -> (T, usize) {
    match compiled.tensor(t).home {
        Home::Own => (t, 0),
        Home::Within { of, offset } => {
            let (root, before) = home(compiled, of);
            (root, before + offset)
        }
    }
}
