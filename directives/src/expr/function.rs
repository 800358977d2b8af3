//! The functions of expressions: `tolower(…)` and the like.

use bytes::Bytes;
use md5::{Digest, Md5};
use sha1::Sha1;

use super::eval::Context;
use crate::path::{self, EncodedSlashes};

macro_rules! functions {
    ($($id:ident = $name:literal $(| $alias:literal)?,)*) => {
        /// A function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Function {
            $(#[doc = concat!("`", $name, "`.")] $id,)*
        }

        impl Function {
            /// The function of a name, without regard to case.
            pub fn named(name: &str) -> Option<Function> {
                $(if name.eq_ignore_ascii_case($name) $(|| name.eq_ignore_ascii_case($alias))? {
                    return Some(Function::$id);
                })*
                None
            }
        }
    };
}

functions! {
    OsEnv = "osenv",
    Env = "env",
    Resp = "resp",
    Req = "req" | "http",
    Note = "note",
    ReqEnv = "reqenv",
    ReqNoVary = "req_novary",
    ToLower = "tolower",
    ToUpper = "toupper",
    Escape = "escape",
    Unescape = "unescape",
    File = "file",
    FileSize = "filesize",
    Base64 = "base64",
    Unbase64 = "unbase64",
    Sha1 = "sha1",
    Md5 = "md5",
    Ldap = "ldap",
}

/// The longest file that `file()` reads, bytes.
const MAX_FILE: u64 = 10 * 1024 * 1024;

impl Function {
    /// Is it one that restricted contexts do not have?
    pub fn looks_at_files(self) -> bool {
        matches!(self, Function::File | Function::FileSize)
    }

    /// Its value.
    pub fn value(self, at: &mut Context<'_>, argument: &Bytes) -> Bytes {
        match self {
            Function::OsEnv => at.r.files.env(argument).unwrap_or_default().into(),
            Function::Env => {
                let found = at.r.notes.get(argument).or_else(|| at.r.env.get(argument));
                match found {
                    Some(value) => value.clone(),
                    None => at.r.files.env(argument).unwrap_or_default().into(),
                }
            }
            Function::Resp => {
                let name = String::from_utf8_lossy(argument);
                let r = &*at.r;
                let field =
                    r.headers_out.get(&name).or_else(|| r.err_headers_out.get(&name));
                field.cloned().unwrap_or_default()
            }
            Function::Req => at.header(argument),
            Function::ReqNoVary => at.field(argument),
            Function::Note => at.r.notes.get(argument).cloned().unwrap_or_default(),
            Function::ReqEnv => at.r.env.get(argument).cloned().unwrap_or_default(),
            Function::ToLower => argument.to_ascii_lowercase().into(),
            Function::ToUpper => argument.to_ascii_uppercase().into(),
            Function::Escape => path::escape_path(argument).into(),
            Function::Unescape => {
                match path::unescape(argument, EncodedSlashes::NoDecode) {
                    Ok(text) => text.into(),
                    Err(_) => Bytes::new(),
                }
            }
            Function::File => file(at, argument),
            Function::FileSize => {
                let meta = at.r.files.stat(argument).ok();
                let meta = meta.filter(|meta| meta.kind == crate::bundle::Kind::File);
                meta.map_or(0, |meta| meta.size).to_string().into()
            }
            Function::Base64 => {
                use base64::Engine as _;
                base64::engine::general_purpose::STANDARD.encode(argument).into()
            }
            Function::Unbase64 => {
                let decoded = crate::modules::authn_core::decode_base64(argument);
                let end = decoded.iter().position(|&b| b == 0).unwrap_or(decoded.len());
                Bytes::from(decoded).slice(..end)
            }
            Function::Sha1 => hex(&Sha1::digest(argument)),
            Function::Md5 => hex(&Md5::digest(argument)),
            Function::Ldap => ldap(argument),
        }
    }
}

fn file(at: &mut Context<'_>, name: &Bytes) -> Bytes {
    let shown = String::from_utf8_lossy(name).into_owned();
    match at.r.files.stat(name) {
        Ok(meta) if meta.size > MAX_FILE => {
            at.fail(format!("File {shown} too large"));
            return Bytes::new();
        }
        Ok(meta) if meta.kind == crate::bundle::Kind::File => {}
        _ => {
            at.fail(format!("Cannot open file {shown}"));
            return Bytes::new();
        }
    }
    match at.r.files.read(name) {
        Ok(bytes) => Bytes::copy_from_slice(&bytes),
        Err(_) => {
            at.fail(format!("Cannot open file {shown}"));
            Bytes::new()
        }
    }
}

/// A hash's bytes as hexadecimal digits.
pub fn hex(digest: &[u8]) -> Bytes {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// RFC 4514 and RFC 4515 together: what could end a name or a filter is escaped. See
/// `apr_pescape_ldap`.
fn ldap(text: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if byte.is_ascii_graphic() && !b"*()\\\"+,;<>".contains(&byte) || byte == b' ' {
            out.push(byte);
        } else {
            out.extend(format!("\\{byte:02x}").bytes());
        }
    }
    out.into()
}
