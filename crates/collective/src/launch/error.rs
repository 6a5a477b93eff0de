//! What can be wrong with how a process was started, each with what to do about it.

/// Why nobody knows which rank this process is, or where rank 0 is met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// A variable holds no number.
    #[error("{name} is `{value}`, and a whole number from 0 on was expected")]
    NotANumber {
        /// The variable.
        name: String,
        /// What it holds.
        value: String,
    },
    /// One half of rank and world.
    #[error(
        "{set} is set (to {value}), and {missing} is not: a rank is told by both. Set {missing}, or unset \
         {set} for one rank"
    )]
    HalfSet {
        /// The one that is set.
        set: String,
        /// What it holds.
        value: String,
        /// The other one.
        missing: String,
    },
    /// A rank that is not in its world.
    #[error(
        "{name} is {rank}, and {world_name} is {world}: ranks are numbered from 0 and are smaller than \
         their number"
    )]
    Beyond {
        /// The variable with the rank.
        name: String,
        /// The rank.
        rank: usize,
        /// The variable with the number of ranks.
        world_name: String,
        /// The number of ranks.
        world: usize,
    },
    /// Two launchers do not say the same.
    #[error(
        "two launchers contradict each other: {one}, but {other}. Start the ranks with one of them, or \
         unset the variables of the one that is not meant"
    )]
    Disagree {
        /// What the one says, with its variables.
        one: String,
        /// What the other says, with its variables.
        other: String,
    },
    /// A rank that counts nodes, and not processes.
    #[error(
        "{said}: that counts nodes and not processes. Start the processes of each node with `torchrun \
         --no-python duel …`, or set DUEL_RANK and DUEL_WORLD_SIZE for each process"
    )]
    CountsNodes {
        /// Which variables say so.
        said: String,
    },
    /// Nobody says where rank 0 is.
    #[error(
        "rank {rank} of {world} was started by {launcher}, and nothing says where rank 0 is met: set \
         DUEL_ADDR to the address of rank 0's host, and DUEL_PORT to a port that is free there{instead}"
    )]
    NoAddress {
        /// This rank.
        rank: usize,
        /// Number of ranks.
        world: usize,
        /// Who started it.
        launcher: String,
        /// What else would do.
        instead: &'static str,
    },
    /// The host of rank 0 is known, but not the port.
    #[error(
        "{name} is `{host}`, and nothing says at which port rank 0 is met there: set DUEL_PORT to one that \
         is free there, the same on all ranks"
    )]
    NoPort {
        /// The variable with the address.
        name: &'static str,
        /// The address.
        host: String,
    },
    /// A port that belongs to no address.
    #[error(
        "DUEL_PORT is {port}, and DUEL_ADDR is not set: without an address MPI itself tells where rank 0 \
         is met, at a port that is free. Set both or none"
    )]
    PortAlone {
        /// The port.
        port: u16,
    },
    /// A port that is none.
    #[error("{name} is `{value}`, and a port from 1 to {most} was expected")]
    BadPort {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// The largest port that will do.
        most: u16,
    },
    /// A list of Slurm that we do not understand.
    #[error("{name} is `{value}`, and {expected} was expected. Set {instead}")]
    BadList {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What was expected.
        expected: &'static str,
        /// What to set to do without.
        instead: &'static str,
    },
}
