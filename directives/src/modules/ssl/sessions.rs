//! Sessions that clients go on with: kept here, or by clients as tickets.

use std::time::Duration;

use crate::schema::{Compat, Context, Directive, Problem, Set};

pub static SESSION_CACHE: Directive = Directive {
    name: "SSLSessionCache",
    syntax: "type",
    context: Context::SERVER,
    default: "none",
    summary: "SSL Session Cache storage ('none', 'nonenotnull', 'dbm:/path/to/file')",
    docs: r"
Are sessions kept, so that a client that comes again need not make a whole handshake? All
types but `none` and `nonenotnull` mean the same here: in the serving process's memory.

## Example
    SSLSessionCache shmcb:/run/ssl_scache(512000)
",
    compat: Compat::Differs("sessions are kept in memory, whatever the type"),
    set: Set::One(|at, word| {
        at.process().ssl.keeps_sessions = !word.is("none") && !word.is("nonenotnull");
        Ok(())
    }),
    ..Directive::EXACT
};

pub static SESSION_CACHE_TIMEOUT: Directive = Directive {
    name: "SSLSessionCacheTimeout",
    syntax: "seconds",
    context: Context::SERVER,
    default: "300",
    summary: "SSL Session Cache object lifetime ('N' - number of seconds)",
    docs: r"
How long a session can be gone on with. Tickets are good for at least as long, and at most
twice as long.

## Example
    SSLSessionCacheTimeout 600
",
    set: Set::One(|at, word| match u64::try_from(word.atoi()) {
        Ok(seconds) => {
            at.process().ssl.session_time = Duration::from_secs(seconds);
            Ok(())
        }
        Err(_) => {
            Err(Problem::from("SSLSessionCacheTimeout: Invalid argument").at(word.span))
        }
    }),
    ..Directive::EXACT
};

pub static SESSION_TICKETS: Directive = Directive {
    name: "SSLSessionTickets",
    syntax: "on|off",
    context: Context::SERVERS,
    default: "on",
    summary: "Enable or disable TLS session tickets(`on', `off')",
    docs: r"
May clients keep their sessions themselves, encrypted with a key that only the serving
process has, and that is a new one after a reload?

## Example
    SSLSessionTickets off
",
    set: Set::Flag(|at, on| {
        at.server.ssl().tickets = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static SESSION_TICKET_KEY_FILE: Directive = Directive {
    name: "SSLSessionTicketKeyFile",
    syntax: "file-path",
    context: Context::SERVERS,
    summary: "TLS session ticket encryption/decryption key file (RFC 5077) ('/path/to/file' - \
              file with 48 bytes of random data)",
    docs: r"
Accepted without effect: the keys of tickets are made here and change often. A client that
comes to another machine of a cluster makes a whole handshake.

## Example
    SSLSessionTicketKeyFile /etc/ssl/ticket.key
",
    compat: Compat::Ignored("the keys of tickets are made here, and change often"),
    set: Set::One(|_, _| Ok(())),
    ..Directive::EXACT
};
