//! httpd's command line.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use directives::bundle::{Entry, HTTPD_ROOT, SERVER_CONFIG_FILE};
use directives::log::Level;
use lexopt::Arg;

/// `-k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `start`, and without `-k`.
    Start,
    /// `stop`.
    Stop,
    /// `restart`.
    Restart,
    /// `graceful`.
    Graceful,
    /// `graceful-stop`.
    GracefulStop,
}

/// What to print instead of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// `-v`.
    Version,
    /// `-V`.
    Settings,
    /// `-h`.
    Help,
    /// `-l`.
    Modules,
    /// `-L`.
    Directives,
}

/// The command line.
#[derive(Clone, Debug)]
pub struct Cli {
    /// Where reading starts.
    pub entry: Entry,
    /// What to do.
    pub order: Order,
    /// `-k` was given.
    pub order_given: bool,
    /// What to print.
    pub show: Option<Show>,
    /// `-t`, and what implies it.
    pub test: bool,
    /// `-X`.
    pub debug: bool,
    /// `-e`.
    pub startup_level: Option<Level>,
    /// `-E`.
    pub startup_log: Option<OsString>,
    /// All arguments, for the log and for starting again.
    pub args: Vec<OsString>,
}

impl Cli {
    /// `-D name` was given.
    pub fn defines(&self, name: &str) -> bool {
        self.entry.defines.iter().any(|define| define == name)
    }
}

/// Reads the arguments behind the program's name. The error is a sentence for the user,
/// or empty where only the usage is due.
pub fn parse(args: Vec<OsString>) -> Result<Cli, String> {
    let mut cli = Cli {
        entry: Entry {
            file: SERVER_CONFIG_FILE.as_bytes().to_vec(),
            server_root: HTTPD_ROOT.as_bytes().to_vec(),
            euid: nix::unistd::geteuid().as_raw(),
            egid: nix::unistd::getegid().as_raw(),
            ..Entry::default()
        },
        order: Order::Start,
        order_given: false,
        show: None,
        test: false,
        debug: false,
        startup_level: None,
        startup_log: None,
        args: args.clone(),
    };
    let mut parser = lexopt::Parser::from_args(args);
    let text = |value: OsString| value.into_string().map_err(|_| String::new());
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        let Arg::Short(option) = arg else { return Err(String::new()) };
        let mut value = || parser.value().map_err(|error| error.to_string());
        match option {
            'f' => {
                // A relative name is below the server root, as with httpd.
                cli.entry.file = value()?.into_vec();
            }
            'd' => {
                let root = value()?;
                let here = std::env::current_dir().unwrap_or_default();
                cli.entry.server_root = here.join(root).as_os_str().as_bytes().to_vec();
            }
            'D' => {
                let name = text(value()?)?;
                match name.as_str() {
                    "DUMP_VHOSTS" | "DUMP_RUN_CFG" | "DUMP_MODULES" | "DUMP_INCLUDES"
                    | "DUMP_CONFIG" => cli.test = true,
                    _ => {}
                }
                cli.entry.defines.push(name);
            }
            'C' => cli.entry.before.push(text(value()?)?),
            'c' => cli.entry.after.push(text(value()?)?),
            'k' => {
                cli.order_given = true;
                cli.order = match text(value()?)?.as_str() {
                    "start" => Order::Start,
                    "stop" => Order::Stop,
                    "restart" => Order::Restart,
                    "graceful" => Order::Graceful,
                    "graceful-stop" => Order::GracefulStop,
                    _ => return Err("invalid argument -- k".to_owned()),
                };
            }
            'e' => {
                let name = text(value()?)?;
                cli.startup_level = Some(Level::parse(&name).ok_or_else(String::new)?);
            }
            'E' => cli.startup_log = Some(value()?),
            't' => cli.test = true,
            'T' => cli.entry.skip_document_roots = true,
            'S' => {
                cli.test = true;
                cli.entry
                    .defines
                    .extend(["DUMP_VHOSTS", "DUMP_RUN_CFG"].map(str::to_owned));
            }
            'M' => {
                cli.test = true;
                cli.entry.defines.push("DUMP_MODULES".to_owned());
            }
            'X' => cli.debug = true,
            'v' => cli.show = Some(Show::Version),
            'V' => cli.show = Some(Show::Settings),
            'h' | '?' => cli.show = Some(Show::Help),
            'l' => cli.show = Some(Show::Modules),
            'L' => cli.show = Some(Show::Directives),
            other => return Err(format!("illegal option -- {other}")),
        }
    }
    Ok(cli)
}

/// The usage, in httpd's words.
pub const USAGE: &str = "\
Usage: fcgi-httpd [-D name] [-d directory] [-f file]
                  [-C \"directive\"] [-c \"directive\"]
                  [-k start|restart|graceful|graceful-stop|stop]
                  [-v] [-V] [-h] [-l] [-L] [-t] [-T] [-S] [-X]
       fcgi-httpd demo
Options:
  -D name            : define a name for use in <IfDefine name> directives
  -d directory       : specify an alternate initial ServerRoot
  -f file            : specify an alternate ServerConfigFile
  -C \"directive\"     : process directive before reading config files
  -c \"directive\"     : process directive after reading config files
  -e level           : show startup errors of level (see LogLevel)
  -E file            : log startup errors to file
  -v                 : show version number
  -V                 : show compile settings
  -h                 : list available command line options (this page)
  -l                 : list compiled in modules
  -L                 : list available configuration directives
  -t -D DUMP_VHOSTS  : show parsed vhost settings
  -t -D DUMP_RUN_CFG : show parsed run settings
  -S                 : a synonym for -t -D DUMP_VHOSTS -D DUMP_RUN_CFG
  -t -D DUMP_MODULES : show all loaded modules 
  -M                 : a synonym for -t -D DUMP_MODULES
  -t -D DUMP_INCLUDES: show all included configuration files
  -t                 : run syntax check for config files
  -T                 : start without DocumentRoot(s) check
  -X                 : debug mode (one process, do not detach)
  demo               : serve the built-in demonstration
";
