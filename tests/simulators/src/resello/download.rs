//! `GET /ssl-certificate/{id}/download-{zip,pkcs7,crt,csr,ca}` (purchase API reference 4.5).

use super::Shop;
use super::archive::{pkcs7, zip};
use super::order::Order;
use super::switch::PendingDownload;
use super::wire::{Handled, Refusal, ShopAnswer};
use crate::ca::{Csr, Office, Reply, pem};

impl Shop {
    /// A file-attachment (Content-Type: application/octet-stream).
    pub(super) fn download(&mut self, office: &mut Office, id: &str, format: &str) -> Handled {
        let is_it = |order: &&Order| order.id == id && order.is_known(&self.variants);
        let order = self.orders.iter().find(is_it);
        let order = order.ok_or_else(Refusal::not_found)?;
        let name = order.csr(&self.variants).map(Csr::common_name);
        let name = name.unwrap_or("certificate").replace(['*', '"'], "_");
        if format == "csr" {
            let csr = order.csr(&self.variants).ok_or_else(Refusal::not_found)?;
            return Ok(file(&format!("{name}.csr"), self.lines(csr.pem())));
        }
        let Some(current) = &order.current else {
            return self.nothing_yet();
        };
        let leaf = &current.issued.der;
        let all = office.deliver(&current.issued, true);
        Ok(match format {
            "crt" if self.variants.crt_with_chain => file(&format!("{name}.crt"), self.text(&all)),
            "crt" => file(&format!("{name}.crt"), self.text(&leaf_of(&all, leaf))),
            "ca" => file("ca.crt", self.text(&self.authorities(&all, leaf))),
            "pkcs7" => {
                let text = pem("PKCS7", &pkcs7(&all));
                file(&format!("{name}.p7b"), self.lines(text))
            }
            "zip" => {
                let authorities = self.text(&self.authorities(&all, leaf));
                let files = [
                    (format!("{name}.crt"), self.text(&leaf_of(&all, leaf))),
                    ("CA_BUNDLE.crt".to_owned(), authorities),
                ];
                file(&format!("{name}.zip"), zip(&files))
            }
            _ => return Err(Refusal::not_found()),
        })
    }

    /// The answer to a download before the certificate exists: unknown (4.5).
    fn nothing_yet(&self) -> Handled {
        match self.variants.pending_download {
            // guess: the code.
            PendingDownload::Error => Err(Refusal::new(
                409,
                "not_active",
                "The certificate is not active yet.",
            )),
            PendingDownload::NotFound => Ok(ShopAnswer::Bare(Reply::empty(404))),
            PendingDownload::Empty => Ok(file("certificate.crt", Vec::new())),
            PendingDownload::Html => Ok(file("certificate.crt", PAGE.into())),
        }
    }

    /// Every certificate but the leaf; from the root down unless a switch changes that.
    fn authorities(&self, all: &[Vec<u8>], leaf: &[u8]) -> Vec<Vec<u8>> {
        let others = all.iter().filter(|der| der.as_slice() != leaf).cloned();
        let mut others: Vec<_> = others.collect();
        if self.variants.ca_from_root {
            others.reverse();
        }
        others
    }

    fn text(&self, certificates: &[Vec<u8>]) -> Vec<u8> {
        let pems = certificates.iter().map(|der| pem("CERTIFICATE", der));
        self.lines(pems.collect())
    }

    fn lines(&self, text: String) -> Vec<u8> {
        if self.variants.windows_line_ends {
            text.replace('\n', "\r\n").into_bytes()
        } else {
            text.into_bytes()
        }
    }
}

/// The leaf; the first of the others when mischief took it away.
fn leaf_of(all: &[Vec<u8>], leaf: &[u8]) -> Vec<Vec<u8>> {
    let found = all.iter().find(|der| der.as_slice() == leaf);
    found.or(all.first()).cloned().into_iter().collect()
}

fn file(name: &str, bytes: Vec<u8>) -> ShopAnswer {
    let disposition = format!("attachment; filename=\"{name}\"");
    ShopAnswer::Bare(
        Reply::bytes("application/octet-stream", bytes).header("Content-Disposition", &disposition),
    )
}

const PAGE: &str =
    "<!doctype html><title>Reseller platform</title><p>Your certificate is on its way.</p>\n";
