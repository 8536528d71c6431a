//! Runs a simulator until Ctrl-C or SIGTERM, so that anyone can have a SonicWall on loopback.
//! Tells what to pin on stdout and journals each request there; never prints the password.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use simulators::sonicos::{Faces, Profile, Settings, Simulator};
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};

/// Simulated devices for trying renewd without hardware.
#[derive(Debug, Parser)]
#[command(name = "simulators", version, max_term_width = 100)]
struct Command {
    #[command(subcommand)]
    device: Device,
}

#[derive(Debug, Subcommand)]
enum Device {
    /// A SonicWall with its management API and SSL VPN portal on two TLS ports.
    Sonicos(Box<SonicosArguments>),
}

#[derive(Debug, Args)]
struct SonicosArguments {
    /// Firmware generation: 7.0, 7.x with session security, or 8.
    #[arg(long, value_enum, default_value = "8")]
    profile: ProfileName,
    /// Address of the web management and the API; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    management: SocketAddr,
    /// Address of the SSL VPN portal; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4433")]
    ssl_vpn: SocketAddr,
    /// The administrator that may log in.
    #[arg(long, default_value = "renewd")]
    user: String,
    /// File with that administrator's password; a line end at its end is cut off.
    #[arg(long, value_name = "FILE", conflicts_with = "password", required_unless_present_any = ["password", "list_faces"])]
    password_file: Option<PathBuf>,
    /// The password itself: everybody on this machine can see it.
    #[arg(long)]
    password: Option<String>,
    /// Common name of the certificate that is served at the start.
    #[arg(long, default_value = "fw.example.com")]
    common_name: String,
    /// Days until that certificate expires; its whole life is 90 days.
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 10,
        allow_negative_numbers = true
    )]
    expires_in_days: i64,
    /// Milliseconds that key generation takes.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 800)]
    key_delay_ms: u64,
    /// Sets one switch of the device; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    face: Vec<(String, String)>,
    /// Prints every switch and its meaning, then ends.
    #[arg(long)]
    list_faces: bool,
    /// Seed of everything that goes wrong by chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProfileName {
    #[value(name = "7.0")]
    V70,
    #[value(name = "7.x")]
    V7X,
    #[value(name = "8")]
    V8,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Device::Sonicos(arguments) = Command::parse().device;
    let outcome = if arguments.list_faces {
        list_faces()
    } else {
        run(&arguments).await
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("simulators: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &SonicosArguments) -> Result<(), String> {
    let settings = settings(arguments)?;
    let (mut interrupt, mut terminate) =
        signals().map_err(|error| format!("cannot listen for signals: {error}"))?;
    let simulator = Simulator::start(settings)
        .await
        .map_err(|error| format!("cannot start: {error}"))?;
    introduce(&simulator, arguments)?;
    let mut printed = 0;
    let mut look = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            _ = look.tick() => printed += print_journal(&simulator, printed)?,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    print_journal(&simulator, printed)?;
    simulator.stop().await;
    Ok(())
}

fn introduce(simulator: &Simulator, arguments: &SonicosArguments) -> Result<(), String> {
    let firmware = simulator_profile(arguments.profile).firmware();
    say(&format!("{firmware}, seed {}", arguments.seed))?;
    say(&format!("management   {}", simulator.url()))?;
    say(&format!("ssl-vpn      {}", simulator.ssl_vpn()))?;
    say(&format!("sha256       {}", simulator.fingerprint()))
}

fn print_journal(simulator: &Simulator, printed: usize) -> Result<usize, String> {
    let journal = simulator.journal();
    let fresh = journal.get(printed..).unwrap_or_default();
    for line in fresh {
        say(line)?;
    }
    Ok(fresh.len())
}

/// `println!` would panic when the reader has gone; that is no failure here.
fn say(line: &str) -> Result<(), String> {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write to stdout: {error}"))
        }
        _ => Ok(()),
    }
}

fn list_faces() -> Result<(), String> {
    Faces::descriptions()
        .iter()
        .try_for_each(|(name, meaning)| say(&format!("{name:<36} {meaning}")))
}

fn settings(arguments: &SonicosArguments) -> Result<Settings, String> {
    let mut settings = Settings::new(simulator_profile(arguments.profile));
    settings.management = arguments.management;
    settings.ssl_vpn = arguments.ssl_vpn;
    settings.user.clone_from(&arguments.user);
    settings.password = password(arguments)?;
    settings
        .initial
        .common_name
        .clone_from(&arguments.common_name);
    settings.initial.not_after =
        OffsetDateTime::now_utc() + time::Duration::days(arguments.expires_in_days);
    settings.initial.not_before = settings.initial.not_after - time::Duration::days(90);
    settings.seed = arguments.seed;
    settings.faces.key_delay_ms = Duration::from_millis(arguments.key_delay_ms);
    for (name, value) in &arguments.face {
        settings.faces.set_by_name(name, value)?;
    }
    Ok(settings)
}

fn password(arguments: &SonicosArguments) -> Result<String, String> {
    let Some(path) = &arguments.password_file else {
        return Ok(arguments.password.clone().unwrap_or_default());
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn simulator_profile(name: ProfileName) -> Profile {
    match name {
        ProfileName::V70 => Profile::V7_0,
        ProfileName::V7X => Profile::V7_X,
        ProfileName::V8 => Profile::V8,
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

type Signals = (tokio::signal::unix::Signal, tokio::signal::unix::Signal);

fn signals() -> std::io::Result<Signals> {
    Ok((
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    ))
}
