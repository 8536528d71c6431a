//! `[file_transfer]`, `file_transfer` of a firewall, and `ssh`.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use data_encoding::BASE64_NOPAD;
use url::Url;

use super::Resolver;
use crate::config::diagnostics::FileSpan;
use crate::config::file_model::{self, HOST_KEY_HINT, Placed, TransferProtocol, default};
use crate::config::values::{self, Wrong};
use crate::firewall::sonicos::CommandLine;
use crate::inventory::Endpoint;
use crate::transfer::{Choice, Protocol, Settings};

impl Resolver<'_> {
    /// `[file_transfer]`.
    pub fn shared_transfers(&mut self, raw: &file_model::Transfers) -> Arc<Settings> {
        if let Some(peer) = &raw.source_address {
            let hint = "each firewall comes from its own address: write it as `file_transfer = { source_address = … }` of that firewall";
            self.wrong(
                &peer.range,
                Wrong::new("`source_address` is for one firewall", hint),
            );
        }
        let settings = self.merged(raw, &Settings::default());
        if let Some(place) = self.forced_ftp(raw) {
            self.diagnostics
                .warning(place, FTP_WARNING, Some(FTP_HINT.to_owned()));
        }
        Arc::new(settings)
    }

    /// The transfers of one firewall: those of `[file_transfer]`, with its own keys in their place; and where it alone
    /// asks for FTP.
    pub fn transfers(
        &mut self,
        raw: Option<&Placed<file_model::Transfers>>,
    ) -> (Arc<Settings>, Option<FileSpan>) {
        let shared = Arc::clone(&self.shared.transfers);
        let Some(raw) = raw else {
            return (shared, None);
        };
        let settings = self.merged(&raw.value, &shared);
        let place = self
            .forced_ftp(&raw.value)
            .filter(|_| shared.protocol != settings.protocol);
        (Arc::new(settings), place)
    }

    /// `ssh` of the firewall at `url`.
    pub fn command_line(
        &mut self,
        raw: &file_model::Ssh,
        url: Option<&Url>,
    ) -> Option<CommandLine> {
        let address = match &raw.address {
            Some(address) => self.parse(address, values::endpoint),
            None => url.and_then(Endpoint::of).map(|management| Endpoint {
                port: default::SSH_PORT,
                ..management
            }),
        };
        let host_key = raw.host_key.as_ref()?;
        let host_key = self.parse(host_key, host_key_fingerprint);
        Some(CommandLine {
            address: address?,
            host_key: host_key?,
        })
    }

    /// What is written, with `otherwise` for what is left out; what does not go together is reported.
    fn merged(&mut self, raw: &file_model::Transfers, otherwise: &Settings) -> Settings {
        let port =
            |key: &Option<Placed<u16>>, otherwise| key.as_ref().map_or(otherwise, |k| k.value);
        let passive_ports = raw.passive_ports.as_ref();
        let passive_ports = passive_ports.and_then(|ports| self.parse(ports, port_range));
        let settings = Settings {
            protocol: raw
                .protocol
                .as_ref()
                .map_or(otherwise.protocol, |protocol| choice(protocol.value)),
            listen: self
                .address(raw.listen.as_ref(), listened)
                .or(otherwise.listen),
            advertise: self
                .address(raw.advertise.as_ref(), reached)
                .or(otherwise.advertise),
            source_address: self
                .address(raw.source_address.as_ref(), reached)
                .or(otherwise.source_address),
            scp_port: port(&raw.scp_port, otherwise.scp_port),
            ftp_port: port(&raw.ftp_port, otherwise.ftp_port),
            passive_ports: passive_ports.or_else(|| otherwise.passive_ports.clone()),
        };
        self.check_ports(raw, &settings);
        self.check_addresses(raw, &settings);
        settings
    }

    fn address(
        &mut self,
        key: Option<&Placed<String>>,
        check: impl FnOnce(&str) -> Result<IpAddr, Wrong>,
    ) -> Option<IpAddr> {
        self.parse(key?, check)
    }

    /// One port serves one protocol. Reported at the key that is written here: the other may be in `[file_transfer]`.
    fn check_ports(&mut self, raw: &file_model::Transfers, settings: &Settings) {
        let here = [&raw.ftp_port, &raw.scp_port].into_iter().flatten();
        let here = here.map(|key| &key.range).next();
        if settings.scp_port == settings.ftp_port
            && settings.scp_port != 0
            && let Some(range) = here
        {
            let message = format!("SCP and FTP cannot share port {}", settings.scp_port);
            let hint =
                "give each a port of its own, or leave both out: then each transfer has a free one";
            self.wrong(range, Wrong::new(message, hint));
        }
        let Some(ports) = &settings.passive_ports else {
            return;
        };
        let own = raw.passive_ports.as_ref().map(|key| &key.range);
        for port in [settings.scp_port, settings.ftp_port] {
            if let Some(range) = own.or(here).filter(|_| ports.contains(&port)) {
                let message = format!("`passive_ports` hold port {port}, which has another use");
                let hint = "choose a range without `scp_port` and `ftp_port`";
                self.wrong(range, Wrong::new(message, hint));
            }
        }
    }

    fn check_addresses(&mut self, raw: &file_model::Transfers, settings: &Settings) {
        let ranges = [&raw.source_address, &raw.listen].into_iter().flatten();
        let here: Option<&Range<usize>> = ranges.map(|key| &key.range).next();
        let (Some(listen), Some(range)) = (settings.listen, here) else {
            return;
        };
        if let Some(peer) = settings.source_address
            && peer.is_ipv4() != listen.is_ipv4()
            && !listen.is_unspecified()
        {
            let message = format!("{peer} cannot reach {listen}");
            let hint = "`listen` and `source_address` must both be IPv4 or both be IPv6";
            self.wrong(range, Wrong::new(message, hint));
        }
    }

    fn forced_ftp(&self, raw: &file_model::Transfers) -> Option<FileSpan> {
        let protocol = raw.protocol.as_ref()?;
        matches!(protocol.value, TransferProtocol::Ftp).then(|| self.place(&protocol.range))
    }
}

/// Reported once, however many firewalls it concerns.
pub(super) const FTP_WARNING: &str =
    "FTP carries requests, certificates and one-time passwords in clear text";
/// What to do about it.
pub(super) const FTP_HINT: &str = "\"automatic\" is SCP, and never uses FTP; docs/threat-model.md lists what an attacker on the path can do";

const fn choice(raw: TransferProtocol) -> Choice {
    match raw {
        TransferProtocol::Automatic => Choice::Automatic,
        TransferProtocol::Scp => Choice::Only(Protocol::Scp),
        TransferProtocol::Ftp => Choice::Only(Protocol::Ftp),
    }
}

/// An address that can be listened on.
fn listened(text: &str) -> Result<IpAddr, Wrong> {
    let address = numeric(text)?;
    if is_of_many(address) {
        let hint = "write an address of this machine, or leave `listen` out";
        return Err(Wrong::new(
            format!("{address} is not an address to listen on"),
            hint,
        ));
    }
    Ok(address)
}

/// The address of one machine.
fn reached(text: &str) -> Result<IpAddr, Wrong> {
    let address = numeric(text)?;
    if is_of_many(address) || address.is_unspecified() {
        let hint = "write the address of one machine, such as \"192.0.2.10\"";
        return Err(Wrong::new(
            format!("{address} is no machine's address"),
            hint,
        ));
    }
    Ok(address)
}

/// A device takes numeric addresses only (SonicOS reference 3.3).
fn numeric(text: &str) -> Result<IpAddr, Wrong> {
    text.parse().map_err(|_| {
        let hint = "write it in numbers, without a port, such as \"192.0.2.10\" or \"2001:db8::10\": firewalls look up no names for a transfer";
        Wrong::new(format!("`{text}` is not a numeric address"), hint)
    })
}

fn is_of_many(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    address.is_multicast() || is_broadcast
}

/// `FIRST-LAST`.
fn port_range(text: &str) -> Result<std::ops::RangeInclusive<u16>, Wrong> {
    let ports = text.split_once('-').and_then(|(first, last)| {
        let port = |text: &str| text.trim().parse::<u16>().ok();
        Some((port(first)?, port(last)?))
    });
    let Some((first, last)) = ports else {
        return Err(Wrong::new(
            format!("`{text}` is not a range of ports"),
            RANGE_HINT,
        ));
    };
    let wrong = |message: &str| Err(Wrong::new(message, RANGE_HINT));
    match (first, last) {
        (0, _) => wrong("port 0 is no port"),
        (first, last) if first > last => wrong("the first port is behind the last"),
        (first, last) if last - first < FEWEST_PORTS - 1 => {
            let message = format!(
                "{} are too few: every transfer needs one, and a port rests for a while after its use",
                u32::from(last - first) + 1
            );
            let hint = format!("at least {FEWEST_PORTS}, {RANGE_HINT}");
            Err(Wrong::new(message, hint))
        }
        (first, last) => Ok(first..=last),
    }
}

/// As OpenSSH prints it: the name of the digest, and base64 without padding.
fn host_key_fingerprint(text: &str) -> Result<String, Wrong> {
    let digest = text
        .strip_prefix("SHA256:")
        .map(|text| text.trim_end_matches('='));
    let bytes = digest.and_then(|text| BASE64_NOPAD.decode(text.as_bytes()).ok());
    match (digest, bytes) {
        (Some(digest), Some(bytes)) if bytes.len() == 32 => Ok(format!("SHA256:{digest}")),
        _ => {
            let message = "this is not the SHA-256 fingerprint of a host key";
            Err(Wrong::new(message, HOST_KEY_HINT))
        }
    }
}

const RANGE_HINT: &str = "for example: passive_ports = \"50000-50099\"";
/// Fewer are used up by a handful of firewalls.
const FEWEST_PORTS: u16 = 10;
