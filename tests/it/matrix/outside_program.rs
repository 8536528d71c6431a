//! An outside program as a CA, whose deeds can be counted and witnessed: a script that carries what it is asked to a
//! server in this process, which signs. The same CSR is the same order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use renewd::clock::ManualClock;
use simulators::Observer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::test_bed::{TestBed, device_time};

/// The server; it stops when it is dropped.
pub struct OutsideProgram {
    desk: Arc<Desk>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

struct Desk {
    clock: Arc<ManualClock>,
    root: Issuer<'static, KeyPair>,
    root_pem: String,
    /// What was signed, by the CSR.
    orders: Mutex<HashMap<String, String>>,
    journal: Mutex<Vec<String>>,
    observer: Mutex<Option<Observer>>,
}

impl OutsideProgram {
    pub async fn start(clock: Arc<ManualClock>) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, "Outside");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let now = device_time(clock.as_ref());
        (root.not_before, root.not_after) = (
            now - time::Duration::days(365),
            now + time::Duration::days(3650),
        );
        let root_pem = root.self_signed(&key).unwrap().pem();
        let desk = Arc::new(Desk {
            clock,
            root: Issuer::new(root, key),
            root_pem,
            orders: Mutex::default(),
            journal: Mutex::default(),
            observer: Mutex::default(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, Arc::clone(&desk)));
        Self {
            desk,
            address,
            server,
        }
    }

    pub fn driver() -> String {
        r#"driver.exec = { program = "/bin/bash", arguments = ["FOLDER/helper"] }"#.to_owned()
    }

    pub fn prepare(&self, bed: &TestBed) {
        let script = SCRIPT.replace("PORT", &self.address.port().to_string());
        std::fs::write(bed.folder.path().join("helper"), script).unwrap();
    }

    /// How many different requests it has taken.
    pub fn orders(&self) -> usize {
        self.desk.orders.lock().unwrap().len()
    }

    pub fn journal(&self) -> Vec<String> {
        self.desk.journal.lock().unwrap().clone()
    }

    pub fn observed_by(&self, observer: Observer) {
        *self.desk.observer.lock().unwrap() = Some(observer);
    }
}

impl Drop for OutsideProgram {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        // In a separate task: the request is carried out even when the program is gone.
        tokio::spawn(answer(stream, Arc::clone(&desk)));
    }
}

/// A line with the operation and a PEM text, ended by a line with a dot; answered with an exit status and an output.
async fn answer(mut stream: TcpStream, desk: Arc<Desk>) {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\n.\n") {
        match stream.read_buf(&mut asked).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let asked = String::from_utf8_lossy(&asked).into_owned();
    let (operation, csr) = asked.split_once('\n').unwrap_or((&asked, ""));
    let csr = csr.trim_end_matches("\n.\n").to_owned();
    let said = desk.act(operation, &csr);
    desk.journal.lock().unwrap().push(operation.to_owned());
    let observer = desk.observer.lock().unwrap().clone();
    if let Some(observer) = observer {
        observer.tell(operation.to_owned()).await;
    }
    // A program that was killed gets no answer.
    let _ = stream.write_all(said.as_bytes()).await;
}

impl Desk {
    fn act(&self, operation: &str, csr: &str) -> String {
        match operation {
            "SUBMIT" => {
                let mut orders = self.orders.lock().unwrap();
                let order = orders.entry(csr.to_owned());
                order.or_insert_with(|| self.sign(csr));
                "5\n1\nthe cookie\n".to_owned()
            }
            "POLL" => match self.orders.lock().unwrap().get(csr) {
                Some(pem) => format!("0\n{pem}"),
                None => "2\nno such order\n".to_owned(),
            },
            "FETCH-ROOTS" => format!("0\n{}", self.root_pem),
            _ => "6\n".to_owned(),
        }
    }

    fn sign(&self, csr: &str) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr).unwrap();
        let now = device_time(self.clock.as_ref());
        let params = &mut request.params;
        (params.not_before, params.not_after) = (
            now - time::Duration::minutes(5),
            now + time::Duration::days(90),
        );
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        request.signed_by(&self.root).unwrap().pem()
    }
}

/// In shell alone: each run of it is paid for in every case of a matrix.
const SCRIPT: &str = r#"exec 3<>/dev/tcp/127.0.0.1/PORT || exit 3
printf '%s\n%s\n.\n' "$CERTMONGER_OPERATION" "$CERTMONGER_CSR" >&3
read -r status <&3 || exit 3
while IFS= read -r line; do printf '%s\n' "$line"; done <&3
exit "$status"
"#;
