//! Checks a JSON Web Key (RFC 7517) and prepares it for verification.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny};
use serde_json::value::RawValue;

/// The longest `kid`, in bytes, that a key or a token may carry.
pub(crate) const MAX_KID_BYTES: usize = 256;

/// A longer modulus or a wider exponent makes verification slow: an 8192-bit key
/// costs 70 times as much as a 2048-bit one.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
const RSA_EXPONENT_BITS: usize = 32;

/// A signature algorithm that ConductorOne signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3).
    Rs256,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
    Es256,
    /// Ed25519 (RFC 8037), which RFC 9864 calls `Ed25519`.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// Parses the `alg` of a JOSE header or a JWK: `RS256`, `ES256`, `EdDSA` or
    /// `Ed25519` (RFC 9864), case-sensitive.
    #[must_use]
    pub fn from_header_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// The name of RFC 7518 and RFC 8037.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a key of a set cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// The entry is not a JSON object.
    #[error("the key is not a JSON object")]
    NotAnObject,
    /// A member appears twice, or a member's name is invalid.
    #[error("a member appears twice or has an invalid name")]
    Ambiguous,
    /// A member that the key type requires is missing.
    #[error("member {0:?} is missing")]
    Missing(&'static str),
    /// A member does not have the JSON type that RFC 7517 gives it.
    #[error("member {0:?} has the wrong type")]
    WrongType(&'static str),
    /// `kid` is empty or longer than 256 bytes.
    #[error("\"kid\" is empty or longer than 256 bytes")]
    KeyId,
    /// The key has private or symmetric key material.
    #[error("the key has private or symmetric key material, which must not be published")]
    Secret,
    /// `use` is not `sig`.
    #[error("\"use\" is not \"sig\"")]
    Use,
    /// `key_ops` does not contain `verify`.
    #[error("\"key_ops\" does not contain \"verify\"")]
    KeyOps,
    /// `kty` is none of `RSA`, `EC` and `OKP`.
    #[error("\"kty\" is none of \"RSA\", \"EC\" and \"OKP\"")]
    KeyType,
    /// `crv` is neither `P-256` for an EC key nor `Ed25519` for an OKP key.
    #[error("\"crv\" is neither \"P-256\" (EC) nor \"Ed25519\" (OKP)")]
    Curve,
    /// `alg` is not the algorithm of this type of key.
    #[error("\"alg\" is not {0}, the algorithm of this type of key")]
    Algorithm(Algorithm),
    /// A member is not canonical base64url without padding.
    #[error("member {0:?} is not canonical base64url without padding")]
    Base64(&'static str),
    /// The RSA modulus does not have 2048 to 4096 bits.
    #[error("the RSA modulus has {0} bits instead of 2048 to 4096")]
    RsaModulusSize(usize),
    /// The RSA modulus is even.
    #[error("the RSA modulus is even")]
    RsaModulusEven,
    /// The RSA public exponent is even, below 3, or wider than 32 bits.
    #[error("the RSA exponent is not an odd number from 3 to 2^32 - 1")]
    RsaExponent,
    /// A coordinate of an EC or Ed25519 key is not 32 bytes long.
    #[error("member {0:?} is not 32 bytes long")]
    CoordinateLength(&'static str),
    /// The point is not on the curve P-256.
    #[error("the point is not on the curve P-256")]
    NotOnCurve,
    /// The Ed25519 point is not in its canonical encoding (RFC 8032 section 5.1.3).
    #[error("the Ed25519 point is not encoded canonically")]
    NotCanonical,
    /// The Ed25519 point has a small order, so that anyone can forge signatures.
    #[error("the Ed25519 point has a small order")]
    SmallOrder,
    /// The cryptographic library rejects the key.
    #[error("the cryptographic library rejects the key")]
    Refused,
}

/// A usable key, prepared once for all verifications.
pub(super) struct Prepared {
    pub(super) algorithm: Algorithm,
    pub(super) public: ParsedPublicKey,
}

/// Checks one entry of a set's `keys`. Returns the key ID, if it is valid, for a
/// skipped key too.
pub(super) fn import(entry: &RawValue) -> (Option<String>, Result<Prepared, SkipReason>) {
    // A struct's `Deserialize` also accepts an array of the members.
    if !entry.get().starts_with('{') {
        return (None, Err(SkipReason::NotAnObject));
    }
    let Ok(jwk) = serde_json::from_str::<Jwk<'_>>(entry.get()) else {
        return (None, Err(SkipReason::Ambiguous));
    };
    match jwk.kid() {
        Ok(kid) => (kid, jwk.prepare()),
        Err(reason) => (None, Err(reason)),
    }
}

/// The members that matter; all others, such as `x5c` and `x5u`, are ignored. Each
/// is kept raw, so that an error can name the invalid one, and no parser's message
/// quotes a secret.
#[derive(serde::Deserialize)]
struct Jwk<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    kty: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "use", deserialize_with = "present")]
    use_: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    key_ops: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    alg: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    kid: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    n: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    e: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    crv: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    x: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    y: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "present")]
    d: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    p: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    q: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    dp: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    dq: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    qi: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    oth: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    k: Option<IgnoredAny>,
}

/// Any value, `null` included: `Option` alone reads `null` as a missing member.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

impl Jwk<'_> {
    fn kid(&self) -> Result<Option<String>, SkipReason> {
        let kid: Option<String> = optional(self.kid, "kid")?;
        match kid {
            Some(kid) if kid.is_empty() || kid.len() > MAX_KID_BYTES => Err(SkipReason::KeyId),
            kid => Ok(kid),
        }
    }

    fn prepare(&self) -> Result<Prepared, SkipReason> {
        let kty: String = required(self.kty, "kty")?;
        if self.holds_secret() || kty == "oct" {
            return Err(SkipReason::Secret);
        }
        let algorithm = match kty.as_str() {
            "RSA" => Algorithm::Rs256,
            "EC" => Algorithm::Es256,
            "OKP" => Algorithm::EdDsa,
            _ => return Err(SkipReason::KeyType),
        };
        self.check_purpose(algorithm)?;
        let public = match algorithm {
            Algorithm::Rs256 => self.rsa()?,
            Algorithm::Es256 => self.p256()?,
            Algorithm::EdDsa => self.ed25519()?,
        };
        Ok(Prepared { algorithm, public })
    }

    fn holds_secret(&self) -> bool {
        [
            &self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.oth, &self.k,
        ]
        .into_iter()
        .any(Option::is_some)
    }

    /// Checks the key's declared purpose (RFC 7517 sections 4.2 to 4.4).
    fn check_purpose(&self, algorithm: Algorithm) -> Result<(), SkipReason> {
        let purpose: Option<String> = optional(self.use_, "use")?;
        if purpose.is_some_and(|purpose| purpose != "sig") {
            return Err(SkipReason::Use);
        }
        let operations: Option<Vec<String>> = optional(self.key_ops, "key_ops")?;
        if operations.is_some_and(|all| !all.iter().any(|operation| operation == "verify")) {
            return Err(SkipReason::KeyOps);
        }
        let alg: Option<String> = optional(self.alg, "alg")?;
        if alg.is_some_and(|alg| Algorithm::from_header_name(&alg) != Some(algorithm)) {
            return Err(SkipReason::Algorithm(algorithm));
        }
        Ok(())
    }

    /// RFC 7518 section 6.3.1.
    fn rsa(&self) -> Result<ParsedPublicKey, SkipReason> {
        let (n, e) = (octets(self.n, "n")?, octets(self.e, "e")?);
        // Some issuers include the sign octet of an ASN.1 integer.
        let (n, e) = (without_leading_zeros(&n), without_leading_zeros(&e));
        let bits = bit_length(n);
        if !RSA_BITS.contains(&bits) {
            return Err(SkipReason::RsaModulusSize(bits));
        }
        if !is_odd(n) {
            return Err(SkipReason::RsaModulusEven);
        }
        if !is_odd(e) || !(2..=RSA_EXPONENT_BITS).contains(&bit_length(e)) {
            return Err(SkipReason::RsaExponent);
        }
        // Through DER, so that aws-lc checks the parsed key.
        let der: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n, e }
            .as_der()
            .map_err(|_| SkipReason::Refused)?;
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref())
            .map_err(|_| SkipReason::Refused)
    }

    /// RFC 7518 section 6.2.1.
    fn p256(&self) -> Result<ParsedPublicKey, SkipReason> {
        self.check_curve("P-256")?;
        let (x, y) = (coordinate(self.x, "x")?, coordinate(self.y, "y")?);
        let mut point = [4; 65]; // 4: an uncompressed point (SEC 1 section 2.3.3)
        for (octet, value) in point.iter_mut().skip(1).zip(x.into_iter().chain(y)) {
            *octet = value;
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| SkipReason::NotOnCurve)
    }

    /// RFC 8037 section 2.
    fn ed25519(&self) -> Result<ParsedPublicKey, SkipReason> {
        self.check_curve("Ed25519")?;
        let point = coordinate(self.x, "x")?;
        check_ed25519_point(point)?;
        ParsedPublicKey::new(&ED25519, point).map_err(|_| SkipReason::Refused)
    }

    fn check_curve(&self, curve: &str) -> Result<(), SkipReason> {
        let named: String = required(self.crv, "crv")?;
        if named == curve {
            Ok(())
        } else {
            Err(SkipReason::Curve)
        }
    }
}

fn optional<T: DeserializeOwned>(
    raw: Option<&RawValue>,
    name: &'static str,
) -> Result<Option<T>, SkipReason> {
    raw.map(|raw| serde_json::from_str(raw.get()).map_err(|_| SkipReason::WrongType(name)))
        .transpose()
}

fn required<T: DeserializeOwned>(
    raw: Option<&RawValue>,
    name: &'static str,
) -> Result<T, SkipReason> {
    optional(raw, name)?.ok_or(SkipReason::Missing(name))
}

fn octets(raw: Option<&RawValue>, name: &'static str) -> Result<Vec<u8>, SkipReason> {
    let text: String = required(raw, name)?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| SkipReason::Base64(name))
}

fn coordinate(raw: Option<&RawValue>, name: &'static str) -> Result<[u8; 32], SkipReason> {
    octets(raw, name)?
        .try_into()
        .map_err(|_| SkipReason::CoordinateLength(name))
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The bit length of a big-endian number without leading zero octets.
fn bit_length(number: &[u8]) -> usize {
    number
        .first()
        .map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last % 2 == 1)
}

/// Refuses points that are not canonically encoded or have a small order.
///
/// An encoding is the coordinate y, 255 bits, little-endian, and the sign of x
/// in the topmost bit. It is canonical if y < p = 2^255 - 19 and the sign of
/// x = 0 is not "negative". RFC 8032 requires both; aws-lc checks neither.
///
/// The curve has eight points whose order divides its cofactor 8. For these,
/// anyone can make a signature that holds for any message. Their orders are 1 (y = 1), 2 (y = -1), 4 (y = 0, both signs) and 8 (the last two values
/// of y below, which are each other's negative, both signs): the roots of the
/// division polynomials, found by multiplying points with the order of the
/// prime subgroup. x = 0 occurs only at y = 1 and y = -1, so refusing these
/// values of y with either sign also refuses the "negative" zero.
fn check_ed25519_point(point: [u8; 32]) -> Result<(), SkipReason> {
    // Numbers of four words, the most significant one first.
    const P_LESS_1: [u64; 4] = [
        0x7fff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffec,
    ];
    const SMALL_ORDER: [[u64; 4]; 5] = [
        [0, 0, 0, 1],
        P_LESS_1,
        [0, 0, 0, 0],
        [
            0x05fc_536d_8802_38b1,
            0x3933_c6d3_05ac_dfd5,
            0xf098_eff2_89f4_c345,
            0xb027_b2c2_8f95_e826,
        ],
        [
            0x7a03_ac92_77fd_c74e,
            0xc6cc_392c_fa53_202a,
            0x0f67_100d_760b_3cba,
            0x4fd8_4d3d_706a_17c7,
        ],
    ];

    let mut y = [0; 4];
    for (word, octets) in y.iter_mut().zip(point.rchunks_exact(8)) {
        *word = octets
            .iter()
            .rfold(0, |number, octet| number << 8 | u64::from(*octet));
    }
    let [top, ..] = &mut y;
    *top &= u64::MAX >> 1; // without the sign of x
    if y > P_LESS_1 {
        return Err(SkipReason::NotCanonical);
    }
    if SMALL_ORDER.contains(&y) {
        return Err(SkipReason::SmallOrder);
    }
    Ok(())
}
