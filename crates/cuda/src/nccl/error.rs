//! What can go wrong between ranks, each with what to do about it.

/// Where NCCL comes from.
const INSTALL: &str = "Install it (the package libnccl2 of NVIDIA's repository, or the wheel \
                       nvidia-nccl-cu12), and set DUEL_NCCL to libnccl.so.2 or to its folder if it \
                       lies where the dynamic linker does not look";

/// Why ranks cannot add up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NcclError {
    /// There is no `libnccl`.
    #[error("libnccl.so.2 was not found ({why}). {INSTALL}. One GPU needs no NCCL")]
    Absent {
        /// What the dynamic linker said.
        why: String,
    },
    /// `DUEL_NCCL` leads nowhere.
    #[error(
        "DUEL_NCCL is `{given}`, and that is not NCCL: {why}. It is the path of libnccl.so.2 or of the \
         folder that holds it"
    )]
    NotThere {
        /// The variable.
        given: String,
        /// What the dynamic linker said.
        why: String,
    },
    /// The library is older than what we call.
    #[error(
        "version {}.{}.{} is too old: 2.18 or newer is needed. {INSTALL}",
        found[0], found[1], found[2]
    )]
    Old {
        /// Major, minor and patch.
        found: [u32; 3],
    },
    /// The id is not one.
    #[error("an id has 256 hexadecimal digits, which `{given}` has not")]
    NotAnId {
        /// What was given.
        given: String,
    },
    /// Two ranks on one GPU.
    #[error(
        "rank {rank} of {world}: two ranks use one GPU, this rank cuda:{ordinal}. NCCL takes one process \
         for each GPU. Start as many ranks as there are GPUs, each with another device: let \
         CUDA_VISIBLE_DEVICES or `device: cuda:n` follow the rank on its machine"
    )]
    SharedDevice {
        /// This rank.
        rank: usize,
        /// Number of ranks.
        world: usize,
        /// This rank's device.
        ordinal: usize,
    },
    /// Not all ranks came.
    #[error(
        "rank {rank} of {world} waited {seconds} s, and not all of the {world} ranks came. Look at what \
         the others say. If all of them run, they do not reach each other: NCCL_DEBUG=INFO tells the \
         network that was chosen, and NCCL_SOCKET_IFNAME chooses another"
    )]
    Alone {
        /// This rank.
        rank: usize,
        /// Number of ranks.
        world: usize,
        /// The deadline.
        seconds: u64,
    },
    /// A peer failed, as NCCL found out.
    #[error(
        "rank {rank} of {world}: a sum over ranks cannot end: {why}. Look at what the others say"
    )]
    Lost {
        /// This rank.
        rank: usize,
        /// Number of ranks.
        world: usize,
        /// What NCCL said.
        why: String,
    },
    /// A sum does not end.
    #[error(
        "rank {rank} of {world} waited {seconds} s for the device. Another rank is gone or stands still: \
         look at what the others say"
    )]
    Late {
        /// This rank.
        rank: usize,
        /// Number of ranks.
        world: usize,
        /// The deadline.
        seconds: u64,
    },
    /// The communicator was given up.
    #[error("rank {rank} of {world} has left the sums over ranks")]
    Left {
        /// This rank.
        rank: usize,
        /// Number of ranks.
        world: usize,
    },
    /// Any other answer.
    #[error("{doing}: {why}")]
    Refused {
        /// What was being done.
        doing: String,
        /// What NCCL said.
        why: String,
    },
}
