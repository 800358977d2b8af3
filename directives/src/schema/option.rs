//! Options of a directive, `-name value`, declared once in a table.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::schema::Word;

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// Nothing.
    Flag,
    /// A number, at least this.
    Uint(u32),
    /// A number, at least this; the original worded its errors otherwise.
    Int(u32),
    /// A port.
    Port,
    /// A number with a fraction, between these.
    Float(f64, f64),
    /// Text.
    Text,
    /// `NAME=value` or `NAME`.
    Env,
    /// `host:port`.
    HostPort,
    /// A signal's name.
    Signal,
}

impl Arg {
    /// How the manual writes the argument.
    pub fn shown(self) -> &'static str {
        match self {
            Arg::Flag => "",
            Arg::Uint(_) | Arg::Int(_) | Arg::Port => "n",
            Arg::Float(..) => "0.n",
            Arg::Text => "value",
            Arg::Env => "NAME[=value]",
            Arg::HostPort => "host:port",
            Arg::Signal => "name",
        }
    }
}

/// An option's value.
#[derive(Clone, Debug)]
pub enum Value {
    /// The option was given.
    Flag,
    /// A number.
    Number(u32),
    /// A port.
    Port(u16),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(Bytes),
    /// Name and value.
    Pair(Bytes, Bytes),
    /// A host as written, and its addresses.
    Host(String, Vec<SocketAddr>),
}

impl Value {
    /// The number; 0 for anything else.
    pub fn number(&self) -> u32 {
        if let Value::Number(number) = self { *number } else { 0 }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        if let Value::Port(port) = self { *port } else { 0 }
    }

    /// The fraction.
    pub fn float(&self) -> f64 {
        if let Value::Float(number) = self { *number } else { 0.0 }
    }

    /// The text's bytes.
    pub fn bytes(&self) -> Bytes {
        if let Value::Text(text) = self { text.clone() } else { Bytes::new() }
    }

    /// The text.
    pub fn text(&self) -> String {
        match self {
            Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Value::Host(text, _) => text.clone(),
            _ => String::new(),
        }
    }

    /// Name and value.
    pub fn pair(&self) -> (Bytes, Bytes) {
        match self {
            Value::Pair(name, value) => (name.clone(), value.clone()),
            _ => Default::default(),
        }
    }

    /// A host's addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        if let Value::Host(_, addresses) = self { addresses.clone() } else { Vec::new() }
    }
}

/// One option; `T` is what it fills.
pub struct Opt<T> {
    /// Its name; names are compared without regard to case.
    pub name: &'static str,
    /// A second spelling, or empty.
    pub alias: &'static str,
    /// The kinds of directive that take it, as bits.
    pub on: u8,
    /// What it takes.
    pub arg: Arg,
    /// What holds without it; empty where nothing does.
    pub default: &'static str,
    /// One sentence.
    pub docs: &'static str,
    /// Stores the value.
    pub set: fn(&mut T, &Value) -> Result<(), String>,
}

/// The option called `name` among those for `kind`.
pub fn find<'a, T>(options: &'a [Opt<T>], kind: u8, word: &Word) -> Option<&'a Opt<T>> {
    let fits = |name: &str| !name.is_empty() && word.is(name);
    options.iter().find(|opt| opt.on & kind != 0 && (fits(opt.name) || fits(opt.alias)))
}
