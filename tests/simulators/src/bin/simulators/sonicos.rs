//! `simulators sonicos`: a SonicWall by hand. Never prints the password.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use simulators::sonicos::{Profile, Settings, Simulator, Variants};
use time::OffsetDateTime;

use crate::serve::{self, name_and_value, say};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Firmware generation: 6.5, 7.0, 7.x with session security, or 8.
    #[arg(long, value_enum, default_value = "8")]
    profile: ProfileName,
    /// Address of the web management and the API; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    management: SocketAddr,
    /// Address of the SSL VPN portal; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4433")]
    ssl_vpn: SocketAddr,
    /// Address of the command line in plain text, without a login: for a relay behind an SSH server. Port 0 takes a
    /// free one; nowhere unless it is given.
    #[arg(long, value_name = "ADDRESS:PORT")]
    console: Option<SocketAddr>,
    /// The administrator that may log in.
    #[arg(long, default_value = "renewd")]
    user: String,
    /// File with that administrator's password; a final line end is ignored.
    #[arg(long, value_name = "FILE", conflicts_with = "password", required_unless_present_any = ["password", "list_variants"])]
    password_file: Option<PathBuf>,
    /// The password itself: every user of this machine can read it in the list of processes.
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
    variant: Vec<(String, String)>,
    /// Prints every switch and its meaning, then ends.
    #[arg(long)]
    list_variants: bool,
    /// Seed of all random faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProfileName {
    #[value(name = "6.5")]
    V65,
    #[value(name = "7.0")]
    V70,
    #[value(name = "7.x")]
    V7X,
    #[value(name = "8")]
    V8,
}

/// Runs it until Ctrl-C or SIGTERM.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.list_variants {
        return serve::list_variants::<Variants>();
    }
    let signals = serve::signals()?;
    let simulator = Simulator::start(settings(arguments)?)
        .await
        .map_err(|error| format!("cannot start: {error}"))?;
    introduce(&simulator, arguments)?;
    serve::until_a_signal(signals, || simulator.journal()).await?;
    simulator.stop().await;
    Ok(())
}

fn introduce(simulator: &Simulator, arguments: &Arguments) -> Result<(), String> {
    let firmware = simulator_profile(arguments.profile).firmware();
    say(&format!("{firmware}, seed {}", arguments.seed))?;
    say(&format!("management   {}", simulator.url()))?;
    say(&format!("ssl-vpn      {}", simulator.ssl_vpn()))?;
    if let Some(console) = simulator.console() {
        say(&format!("console      {console}"))?;
    }
    say(&format!("sha256       {}", simulator.fingerprint()))
}

fn settings(arguments: &Arguments) -> Result<Settings, String> {
    let mut settings = Settings::new(simulator_profile(arguments.profile));
    settings.management = arguments.management;
    settings.ssl_vpn = arguments.ssl_vpn;
    settings.console = arguments.console;
    settings.user.clone_from(&arguments.user);
    settings.password = serve::secret(
        arguments.password.as_deref(),
        arguments.password_file.as_deref(),
    )?;
    settings
        .initial
        .common_name
        .clone_from(&arguments.common_name);
    settings.initial.not_after =
        OffsetDateTime::now_utc() + time::Duration::days(arguments.expires_in_days);
    settings.initial.not_before = settings.initial.not_after - time::Duration::days(90);
    settings.seed = arguments.seed;
    settings.variants.key_delay_ms = Duration::from_millis(arguments.key_delay_ms);
    for (name, value) in &arguments.variant {
        settings.variants.set_by_name(name, value)?;
    }
    Ok(settings)
}

fn simulator_profile(name: ProfileName) -> Profile {
    match name {
        ProfileName::V65 => Profile::V6_5,
        ProfileName::V70 => Profile::V7_0,
        ProfileName::V7X => Profile::V7_X,
        ProfileName::V8 => Profile::V8,
    }
}
