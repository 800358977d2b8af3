//! mod_ratelimit: responses that are sent slowly on purpose.

use crate::log::Level;
use crate::request::Request;
use crate::schema::Module;

/// How fast a body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes each second.
    pub speed: u64,
    /// Bytes that are sent first, at once.
    pub burst: u64,
}

/// Settings of a section: none. The filter `RATE_LIMIT` reads the variables `rate-limit`
/// and `rate-initial-burst`, KiB each second and KiB.
pub type Dir = ();

/// Settings of a server: none.
pub type Server = ();

/// The module.
pub static MODULE: Module = Module {
    name: "mod_ratelimit.c",
    id: "ratelimit_module",
    directives: &[],
    hooks: &[],
};

/// `RATE_LIMIT`: what `rate_limit_filter` reads.
pub(crate) fn begin(r: &mut Request) {
    if r.main.is_some() {
        return;
    }
    let Some(speed) = kibibytes(r, "rate-limit", 3488, "rate-limit") else { return };
    let burst = kibibytes(r, "rate-initial-burst", 3489, "burst: rate-initial-burst");
    r.rate = Some(Rate { speed, burst: burst.unwrap_or(0) });
}

fn kibibytes(r: &mut Request, name: &str, number: u32, shown: &str) -> Option<u64> {
    let value = r.env.get(name.as_bytes())?.clone();
    let text = String::from_utf8_lossy(&value).into_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let kibibytes = text[..digits].parse::<u64>().ok().filter(|&value| value > 0);
    let bytes = kibibytes.and_then(|value| value.checked_mul(1024));
    let bytes = bytes.filter(|&bytes| i32::try_from(bytes).is_ok());
    if bytes.is_none() {
        let text = format!("rl: disabling: {shown} = {text} (too high?)");
        let text = text.replace("disabling: burst:", "disabling burst:");
        r.log(Level::Info, "ratelimit", number, text);
    }
    bytes
}
