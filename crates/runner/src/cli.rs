//! The command line. Results go to stdout, everything else to stderr.

use crate::command::{self, Ended};
use crate::ranks::Leave;
use crate::scaling::Link;
use crate::signals::Signals;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use train::DeviceName;

/// Exit status of a run that wrote a checkpoint and wants to be started again (sysexits' TEMPFAIL).
const AGAIN: u8 = 75;

#[derive(Parser)]
#[command(
    name = "duel",
    version,
    about = "Trains generative adversarial networks from one YAML file"
)]
struct Cli {
    /// What to log: a level, or rules such as train=debug
    #[arg(long, global = true, env = "DUEL_LOG", default_value = "warn")]
    log: String,
    /// Folder of prepared data sets
    #[arg(long, global = true, env = "DUEL_DATA", default_value = "datasets")]
    data: PathBuf,
    /// Threads to compute with; 0 for one per core
    #[arg(long, global = true, default_value_t = 0)]
    threads: usize,
    /// Where networks are computed, whatever a file says: auto, cpu, cuda, cuda:N
    #[arg(long, global = true, env = "DUEL_DEVICE", value_parser = clap::value_parser!(DeviceName))]
    device: Option<DeviceName>,
    /// Stop, with a checkpoint, when standard input ends
    #[arg(long, global = true, hide = true)]
    leash: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train; prints the run directory
    Train(Train),
    /// Go on with a run from its last checkpoint; prints the run directory
    Resume {
        /// Run directory
        run: PathBuf,
        /// So many ranks share a batch from here on, as threads; the run's own number by default
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
        ranks: Option<u16>,
    },
    /// Train the variants of an ablation, each with all its seeds; prints the table that compares them
    Ablate(Ablate),
    /// Draw samples from a run; prints the file
    Sample(Sample),
    /// Make a page of each run or ablation, to look at and to pass on; prints the files
    Report {
        /// Directories of runs or ablations
        #[arg(required = true)]
        folders: Vec<PathBuf>,
    },
    /// Print the programs of an experiment: shapes, places, FLOPs, bytes, peak memory
    Show {
        #[command(flatten)]
        experiment: Experiment,
    },
    /// Time the steps of an experiment on noise: by operation, by layer, against what this machine
    /// can do; prints the tables and the file of the roofline picture
    Profile(Profile),
    /// Run the steps of an experiment on noise with one rank, two, four: how speed grows, what of the sums
    /// is hidden, and what a model says of other links; prints the tables and the file of the picture
    Scaling(Scaling),
    /// List the runs below a folder: state, progress, last figures
    Runs(Runs),
    /// List the GPUs that are here, and whether they can be used
    Devices {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what this machine offers to Duel, and what it lacks; under a launcher, what its ranks see, and
    /// how fast they add up
    Doctor {
        /// So many ranks, as threads
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
        ranks: u16,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON schema of a YAML, for editors
    Schema {
        /// Of which kind of file
        #[arg(value_enum, default_value_t)]
        of: Kind,
    },
    /// Fetch, import and look at data sets
    #[command(subcommand)]
    Data(Data),
}

/// An experiment and what is different this time.
#[derive(Args)]
pub(crate) struct Experiment {
    /// The experiment's YAML
    pub file: PathBuf,
    /// Set a key, such as optimizer.generator.adam.rate=1e-4; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Train {
    #[command(flatten)]
    pub experiment: Experiment,
    /// Run directory; it must not exist. Default: runs/<experiment>/seed<N>
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// So many ranks share a batch, as threads; the experiment's `ranks` by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub ranks: Option<u16>,
    /// Print the resolved experiment and its cost, and stop
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args)]
pub(crate) struct Ablate {
    #[command(flatten)]
    pub experiment: Experiment,
    /// Run this variant alone; may be repeated
    #[arg(long, value_name = "VARIANT")]
    pub only: Vec<String>,
    /// How many run at once; they share the threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Print every variant and its cost, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Run the size that the file's `smoke` describes, which ends in minutes
    #[arg(long)]
    pub smoke: bool,
    /// The ablation's directory. Default: runs/<ablation>, runs/<ablation>_smoke
    #[arg(long)]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Profile {
    #[command(flatten)]
    pub experiment: Experiment,
    /// Iterations that are timed; medians are told
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub steps: u64,
    /// Where the roofline picture goes. Default: runs/<experiment>/roofline.png
    #[arg(long, value_name = "PNG")]
    pub out: Option<PathBuf>,
    /// Write the tables here as rows of JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Scaling {
    #[command(flatten)]
    pub experiment: Experiment,
    /// Numbers of ranks, as threads. Default: 1,2,4, or those that a launcher has started
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub ranks: Vec<u16>,
    /// Iterations that are timed; medians are told
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub steps: u64,
    /// Predict for this link instead of those of clusters; may be repeated
    #[arg(long = "link", value_name = "US,GB/S")]
    pub links: Vec<Link>,
    /// Predict for ranks on which a step of the whole batch takes so many milliseconds
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    pub step_ms: Option<f64>,
    /// Print the tables as Markdown
    #[arg(long)]
    pub markdown: bool,
    /// Where the picture goes. Default: runs/<experiment>/scaling.png
    #[arg(long, value_name = "PNG")]
    pub out: Option<PathBuf>,
    /// Write the tables here as rows of JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|ms: &f64| ms.is_finite() && *ms > 0.0);
    number.ok_or_else(|| "expected milliseconds, such as 2.236".to_string())
}

#[derive(Args)]
pub(crate) struct Sample {
    /// Run directory
    pub run: PathBuf,
    /// How many
    #[arg(long, short, default_value_t = 64)]
    pub n: usize,
    /// Seed of the noise; the run's own by default
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where to: a .png grid, or .npy (u8 images [n, h, w, c]; f32 for other data).
    /// Default: RUN/sample.png
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Use the trained weights instead of their moving average
    #[arg(long)]
    pub no_ema: bool,
}

#[derive(Args)]
pub(crate) struct Runs {
    /// Where to look, with all folders below it. Default: runs
    pub folder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A kind of YAML file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// What is trained: experiments/*.yaml
    #[default]
    Experiment,
    /// Which variants are compared: experiments/ablations/*.yaml
    Ablation,
}

#[derive(Subcommand)]
pub(crate) enum Data {
    /// Fetch and import whatever an experiment needs
    Prepare {
        #[command(flatten)]
        experiment: Experiment,
    },
    /// Bring the files of a recipe here and check them
    Fetch {
        /// A recipe: its name, or its YAML
        recipe: String,
    },
    /// Make shards: of a recipe's files, of an LMDB, or of a folder of pictures
    Import(Import),
    /// Describe a prepared split
    Inspect {
        /// Its folder, such as datasets/mnist/train
        split: PathBuf,
    },
    /// Check every byte of a prepared split
    Verify {
        /// Its folder
        split: PathBuf,
    },
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Import {
    /// A recipe: its name, or its YAML
    #[arg(required = true)]
    pub recipe: Option<String>,
    #[command(subcommand)]
    pub original: Option<Original>,
}

#[derive(Subcommand)]
pub(crate) enum Original {
    /// An LMDB of LSUN; prints the folder of the split
    Lsun {
        /// The folder, such as bedroom_train_lmdb
        path: PathBuf,
        /// What the pictures show
        #[arg(long)]
        category: String,
        /// Height and width of the rows: centre crop, then bilinear with antialias
        #[arg(long)]
        size: usize,
        /// The data set. Default: lsun_<CATEGORY>_<SIZE>
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        pictures: Pictures,
    },
    /// A folder of PNG, JPEG and WebP, each sub-folder a class; prints the folder of the split
    Folder {
        /// The folder
        path: PathBuf,
        /// Height and width of the rows: centre crop, then bilinear with antialias.
        /// Default: as the pictures are, which must all have one size
        #[arg(long)]
        size: Option<usize>,
        /// The data set
        #[arg(long)]
        name: String,
        #[command(flatten)]
        pictures: Pictures,
    },
}

/// What imports of pictures share.
#[derive(Args)]
pub(crate) struct Pictures {
    /// The split
    #[arg(long, default_value = "train")]
    pub split: String,
    /// What to do with a picture that cannot be used
    #[arg(long, value_enum, default_value_t = OnError::Fail)]
    pub on_error: OnError,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum OnError {
    /// End with an error that names it
    Fail,
    /// Leave it out and list it
    Skip,
}

/// What all commands share.
pub(crate) struct Globals {
    /// Folder of prepared data sets.
    pub data: PathBuf,
    /// Threads; 0 for one per core.
    pub threads: usize,
    /// Where networks are computed, if it was said.
    pub device: Option<DeviceName>,
    /// What to log.
    pub log: String,
    /// Whether a run stops when standard input ends.
    pub leash: bool,
}

impl Globals {
    /// How many threads there will be.
    pub fn cores(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

/// Runs `duel` with these arguments, the program's name first.
pub fn duel<A: Into<OsString> + Clone>(arguments: impl IntoIterator<Item = A>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            // Help goes to stdout with status 0, mistakes to stderr with status 2.
            usage.print().ok();
            return ExitCode::from(if usage.use_stderr() { 2 } else { 0 });
        }
    };
    match tracing_subscriber::EnvFilter::try_new(&cli.log) {
        Ok(filter) => {
            let log = tracing_subscriber::fmt().with_env_filter(filter).without_time();
            let colours = std::io::stderr().is_terminal();
            log.with_ansi(colours).with_writer(std::io::stderr).try_init().ok();
        }
        Err(error) => {
            eprintln!("error: --log {}: {error}; expected a level such as info", cli.log);
            return ExitCode::from(2);
        }
    }
    if let Err(error) = Signals::spare_long_files() {
        eprintln!("error: signals: {error}");
        return ExitCode::FAILURE;
    }
    let Cli { data, threads, device, log, leash, command } = cli;
    let globals = Globals { data, threads, device, log, leash };
    let ended = match command {
        Command::Train(train) => command::train::run(&globals, &train),
        Command::Resume { run, ranks } => command::resume::run(&globals, &run, ranks),
        Command::Ablate(ablate) => command::ablate::run(&globals, &ablate),
        Command::Sample(sample) => command::sample::run(&globals, &sample),
        Command::Report { folders } => command::report::run(&globals, &folders),
        Command::Show { experiment } => command::show::run(&globals, &experiment),
        Command::Profile(profile) => command::profile::run(&globals, &profile),
        Command::Scaling(scaling) => command::scaling::run(&globals, &scaling),
        Command::Runs(runs) => command::runs::run(&runs),
        Command::Devices { json } => command::devices::run(json),
        Command::Doctor { ranks, json } => command::doctor::run(&globals, json, ranks.into()),
        Command::Schema { of } => command::schema::run(of),
        Command::Data(data) => command::data::run(&globals, &data),
    };
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Stopped) => ExitCode::from(AGAIN),
        Err(error) => match error.downcast_ref::<Leave>() {
            Some(Leave { code, message }) => {
                if let Some(message) = message {
                    eprintln!("error: {message}");
                }
                // At once: MPI and NCCL would wait for ranks that do not come.
                signal_hook::low_level::exit((*code).into())
            }
            None => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}
