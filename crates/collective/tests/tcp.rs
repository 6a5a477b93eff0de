//! Ranks that meet over TCP: threads of this process, processes where one has to die, and hosts (network
//! namespaces) where a link has to.

#[path = "tcp/exchange.rs"]
mod exchange;
#[path = "tcp/faults.rs"]
mod faults;
#[path = "tcp/hosts.rs"]
mod hosts;
#[path = "tcp/keys.rs"]
mod keys;
#[path = "tcp/meeting.rs"]
mod meeting;
#[path = "tcp/processes.rs"]
mod processes;
#[path = "tcp/stage.rs"]
mod stage;
#[path = "tcp/strays.rs"]
mod strays;
