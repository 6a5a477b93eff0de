//! What the thread does when a peer or a caller has said something.

use super::super::message::Message;
use super::super::wire::Broken;
use super::Hub;
use super::round::Words;
use super::shared::Order;
use crate::{Kind, Lost};
use std::time::Instant;

impl Hub {
    /// A peer has said this.
    pub(super) fn hear(&mut self, at: usize, message: Message) {
        let rank = self.peers[at].rank;
        let leads = self.leads();
        match message {
            Message::Beat { doing, others } => {
                (self.peers[at].doing, self.peers[at].said) = (doing, Instant::now());
                if !leads {
                    self.note_others(others);
                }
            }
            Message::Words { what, bytes } if leads => {
                self.arrive(rank, Words::Gather { what, bytes })
            }
            Message::Part if leads => self.arrive(rank, Words::Part),
            Message::Fail { why } if leads => {
                let text = self.shared.star.failed(rank, &why);
                self.lose(Lost::new(Kind::Failed, text));
            }
            Message::AllWords { words } if !leads => self.shared.answer(words),
            Message::Parted if !leads => {
                self.shared.parted();
                self.hang_up(at);
            }
            Message::Lost { lost } => {
                self.lose(lost);
                if !leads {
                    self.hang_up(at);
                }
            }
            _ => self.gone(at, &Broken::Foreign("what no rank says then".to_string())),
        }
    }

    /// Says that no more comes from here; what the peer says is still read.
    fn hang_up(&mut self, at: usize) {
        if let Some(wire) = &mut self.peers[at].wire {
            wire.close();
        }
    }

    /// Does as it was told; false when that is to end.
    pub(super) fn obey(&mut self) -> bool {
        let orders = std::mem::take(&mut self.shared.state().orders);
        for order in orders {
            match order {
                Order::Close => return false,
                // Everybody has been told, and nobody listens any more.
                _ if !self.is_on() => {}
                Order::Gather { what, bytes } if self.leads() => {
                    self.arrive(0, Words::Gather { what, bytes });
                }
                Order::Gather { what, bytes } => self.send(&Message::Words { what, bytes }),
                Order::Part if self.leads() => self.arrive(0, Words::Part),
                Order::Part => self.send(&Message::Part),
                Order::Fail(why) if self.leads() => {
                    let text = self.shared.star.failed(0, &why);
                    self.lose(Lost::new(Kind::Failed, text));
                }
                Order::Fail(why) => self.send(&Message::Fail { why }),
                Order::Lose(lost) => self.lose(lost),
            }
        }
        self.note_alone();
        true
    }

    /// A rank's part of an exchange has come to rank 0.
    fn arrive(&mut self, rank: usize, words: Words) {
        if !self.is_on() {
            return;
        }
        match self.round.arrive(rank, words, &self.shared.star) {
            Err(lost) => self.lose(lost),
            Ok(None) => {}
            Ok(Some(Words::Part)) => {
                self.send(&Message::Parted);
                self.shared.parted();
                (0..self.peers.len()).for_each(|at| self.hang_up(at));
            }
            Ok(Some(Words::Gather { .. })) => {
                let words = self.round.finish();
                self.send(&Message::AllWords { words: words.clone() });
                self.shared.answer(words);
            }
        }
    }
}
