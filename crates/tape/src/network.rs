//! Networks: parameters side by side in one flat buffer.

use crate::op::{Law, Op, Owner};
use crate::tape::{Home, Inner, NetworkData};
use crate::{Access, Dtype, Expr, Init, Kind, Network, Program, Shape, T, Tape};

impl Tape {
    /// A network without parameters yet.
    pub fn network(&self, name: &str) -> Network {
        let flat = self.inner.borrow_mut().add(
            Shape::new(&[0]),
            Dtype::Real,
            Kind::State,
            Some(name.to_string()),
        );
        self.inner.borrow_mut().add_network(name, flat)
    }

    /// A trained tensor of a network, named `network.name`.
    ///
    /// The flat buffer holds parameters in reverse order of registration. Networks register theirs
    /// from input to output, so that gradients are complete from the front of the buffer to its end,
    /// and a bucket of the all-reduce is a contiguous range.
    #[track_caller]
    pub fn parameter(
        &self,
        network: Network,
        name: &str,
        shape: impl Into<Shape>,
        init: Init,
    ) -> T {
        let mut inner = self.inner.borrow_mut();
        let data = &inner.networks[network.0];
        assert!(data.twins.is_empty(), "`{}` was copied before `{name}` was added", data.name);
        let name = format!("{}.{name}", data.name);
        let t = inner.add(shape.into(), Dtype::Real, Kind::State, Some(name));
        inner.inits.push((t, init));
        inner.networks[network.0].parameters.push(t);
        inner.lay_out(network);
        t
    }

    /// A tensor of a network that is kept but not trained, such as running statistics.
    pub fn buffer(&self, network: Network, name: &str, shape: impl Into<Shape>, init: Init) -> T {
        let name = format!("{}.{name}", self.inner.borrow().networks[network.0].name);
        let t = self.state(&name, shape, init);
        self.inner.borrow_mut().networks[network.0].buffers.push(t);
        t
    }

    /// A second set of a network's parameters with the same first values, named `network.suffix`.
    pub fn twin(&self, network: Network, suffix: &str) -> Network {
        let mut inner = self.inner.borrow_mut();
        let name = format!("{}.{suffix}", inner.networks[network.0].name);
        let shape = inner.tensors[inner.networks[network.0].flat.0 as usize].shape;
        let flat = inner.add(shape, Dtype::Real, Kind::State, Some(name.clone()));
        let twin = inner.add_network(&name, flat);
        let prefix = inner.networks[network.0].name.len() + 1;
        for original in inner.networks[network.0].parameters.clone() {
            let tensor = inner.tensors[original.0 as usize].clone();
            let full = tensor.name.expect("parameters have names");
            let name = format!("{name}.{}", &full[prefix..]);
            let t = inner.add(tensor.shape, Dtype::Real, Kind::State, Some(name));
            inner.inits.push((t, Init::Copy(original)));
            inner.networks[twin.0].parameters.push(t);
        }
        inner.lay_out(twin);
        inner.networks[network.0].twins.push(twin);
        twin
    }

    /// Records `body` with the parameters of `to` wherever those of `from` are written down.
    pub fn instead<R>(&self, from: Network, to: Network, body: impl FnOnce() -> R) -> R {
        let before = self.inner.borrow_mut().instead.replace((from, to));
        let result = body();
        self.inner.borrow_mut().instead = before;
        result
    }

    /// The flat buffer of a network's parameters.
    pub fn flat(&self, network: Network) -> T {
        self.inner.borrow().networks[network.0].flat
    }

    /// A network's parameters, in the order of registration.
    pub fn parameters(&self, network: Network) -> Vec<T> {
        self.inner.borrow().networks[network.0].parameters.clone()
    }

    /// A network's name.
    pub fn network_name(&self, network: Network) -> String {
        self.inner.borrow().networks[network.0].name.clone()
    }

    /// Every state tensor that a checkpoint must hold, with its name: parameters one by one, and
    /// whatever else survives programs.
    pub fn saved(&self) -> Vec<(String, T)> {
        let inner = self.inner.borrow();
        let is_flat = |t: T| inner.networks.iter().any(|n| n.flat == t);
        let mut all = Vec::new();
        for (i, tensor) in inner.tensors.iter().enumerate() {
            let t = T(i as u32);
            if tensor.kind == Kind::State && !is_flat(t) {
                all.push((tensor.name.clone().expect("state has a name"), t));
            }
        }
        all
    }

    /// Records the program that gives every state tensor its first value. Comes after everything
    /// that declares state. Each tensor draws from a stream of its own.
    #[track_caller]
    pub fn record_init(&self) -> Program {
        let inits = self.inner.borrow().inits.clone();
        self.record("init", |tape| {
            for (i, (t, init)) in inits.into_iter().enumerate() {
                let constant = |value| Op::Map { expr: Expr::constant(value), access: vec![] };
                match init {
                    Init::Constant(value) => tape.push_into(constant(value), &[], &[t]),
                    Init::Draw(law) => {
                        // Weights draw from the upper half of the streams, so that what is recorded
                        // for the steps does not change how a network starts.
                        let stream = 1 << 31 | i as u32;
                        let op = Op::Noise { law, stream, owner: Owner::Weights };
                        tape.push_into(op, &[], &[t]);
                    }
                    Init::Rows(values) => {
                        let parts: Vec<T> =
                            values.iter().map(|&v| tape.push(constant(v), &[], [1])).collect();
                        let column = tape.push(Op::Pack, &parts, [values.len()]);
                        let spread =
                            Op::Map { expr: Expr::identity(), access: vec![Access::Sample] };
                        tape.push_into(spread, &[column], &[t]);
                    }
                    Init::Copy(of) => {
                        let copy = Op::Map { expr: Expr::identity(), access: vec![Access::Full] };
                        tape.push_into(copy, &[of], &[t]);
                    }
                }
            }
        })
    }
}

impl Inner {
    fn add_network(&mut self, name: &str, flat: T) -> Network {
        self.networks.push(NetworkData {
            name: name.to_string(),
            flat,
            parameters: Vec::new(),
            buffers: Vec::new(),
            twins: Vec::new(),
        });
        Network(self.networks.len() - 1)
    }

    /// Gives every parameter its place in the flat buffer, last registered first.
    fn lay_out(&mut self, network: Network) {
        let flat = self.networks[network.0].flat;
        let mut offset = 0;
        for t in self.networks[network.0].parameters.clone().into_iter().rev() {
            self.tensors[t.0 as usize].home = Home::Within { of: flat, offset };
            offset += self.tensors[t.0 as usize].shape.len();
        }
        self.tensors[flat.0 as usize].shape = Shape::new(&[offset]);
    }
}

impl Init {
    /// Normal with mean 0.
    pub fn normal(std: f64) -> Self {
        Self::Draw(Law::Normal { mean: 0.0, std })
    }

    /// Uniform on ±range.
    pub fn uniform(range: f64) -> Self {
        Self::Draw(Law::Uniform { low: -range, high: range })
    }
}
