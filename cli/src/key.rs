//! The development key, in a file so that several processes can act as one tenant.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::FakeTenant;

use crate::{BoxError, TenantArgs};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Alg {
    Es256,
    Rs256,
    #[value(name = "eddsa")]
    EdDsa,
}

impl TenantArgs {
    /// The tenant of the key file, which is created if it does not exist.
    pub(crate) fn open(&self) -> Result<FakeTenant, BoxError> {
        let file = self.key_file.display();
        let pem = match fs::read_to_string(&self.key_file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(&self.key_file, self.alg.unwrap_or(Alg::Es256))?
            }
            read => read.map_err(|error| format!("cannot read the key file {file}: {error}"))?,
        };
        let tenant = decode(&pem)
            .and_then(|key| FakeTenant::from_pkcs8(&*self.tenant, &key))
            .ok_or_else(|| {
                format!("{file} has no private key in PEM (PKCS #8) for ES256, RS256 (2048 bits) or EdDSA")
            })?;
        let header = tenant.delivery("").header_params();
        let is = header["alg"].as_str().unwrap_or_default();
        match self.alg.map(|wanted| wanted.algorithm().as_str()) {
            Some(wanted) if wanted != is => Err(format!(
                "the key in {file} is for {is}: omit --alg, or choose another --key-file for {wanted}"
            )
            .into()),
            _ => Ok(tenant),
        }
    }
}

impl Alg {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::Es256,
            Self::Rs256 => Algorithm::Rs256,
            Self::EdDsa => Algorithm::EdDsa,
        }
    }

    /// A new private key in PKCS #8.
    fn generate(self) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        Ok(match self {
            Self::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?
                .to_pkcs8v1()?
                .as_ref()
                .to_vec(),
            Self::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)?
                .as_der()?
                .as_ref()
                .to_vec(),
            Self::EdDsa => Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec(),
        })
    }
}

/// Creates the file, readable by its owner only.
fn create(path: &Path, alg: Alg) -> Result<String, BoxError> {
    let key = BASE64_STANDARD.encode(alg.generate()?);
    let lines: Vec<_> = key
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    let pem = format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(pem.as_bytes()))
        .map_err(|error| format!("cannot create the key file {}: {error}", path.display()))?;
    Ok(pem)
}

fn decode(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(BEGIN)?;
    let (key, _) = rest.split_once(END)?;
    let key: String = key.split_whitespace().collect();
    BASE64_STANDARD.decode(key).ok()
}
