//! What a directive is: declared once, and everything else read from the declaration —
//! the parser's arity, the context check, usage errors, `-L`, the reference page, "did
//! you mean", and the compatibility note.

pub mod context;
pub mod lookup;
pub mod option;
pub mod render;
pub mod word;

use crate::compile::Scope;
use crate::diagnostic::{Code, Edit, codes};
use crate::phase::Hooked;
use crate::syntax::{Span, Text};

pub use context::{Context, Override};
pub use word::Word;

/// What a setter says: nothing, or what is wrong.
pub type Result<T = ()> = std::result::Result<T, Problem>;

/// What is wrong with a directive, before it is known where it stands.
#[derive(Debug)]
pub struct Problem {
    /// Its kind.
    pub code: &'static Code,
    /// The sentence, in httpd's words where httpd has them.
    pub message: String,
    /// The part of the line to point at; the whole line if not said.
    pub span: Option<Span>,
    /// What to do about it.
    pub help: Option<String>,
    /// The change that mends it.
    pub edit: Option<Edit>,
    /// Places that explain it.
    pub also: Vec<(Span, String)>,
}

impl Problem {
    /// A problem of kind `code`.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Problem {
        let message = message.into();
        Problem { code, message, span: None, help: None, edit: None, also: Vec::new() }
    }

    /// Pointing at `span`.
    #[must_use]
    pub fn at(mut self, span: Span) -> Problem {
        self.span = Some(span);
        self
    }

    /// With advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }
}

impl<T: Into<String>> From<T> for Problem {
    fn from(message: T) -> Problem {
        Problem::new(&codes::VALUE, message)
    }
}

/// How a directive here compares with httpd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// The same.
    Exact,
    /// Different, and how.
    Differs(&'static str),
    /// Accepted without effect, and why that is harmless.
    Ignored(&'static str),
}

/// A directive's declaration.
pub struct Directive {
    /// As the manual spells it; sections with a leading `<`.
    pub name: &'static str,
    /// Other names for the same, such as `AppClass`.
    pub aliases: &'static [&'static str],
    /// The arguments, as the manual writes them.
    pub syntax: &'static str,
    /// Where it may stand.
    pub context: Context,
    /// Which class of `AllowOverride` lets it stand in `.htaccess`.
    pub overrides: Override,
    /// What holds without it; empty where nothing does.
    pub default: &'static str,
    /// httpd's one line, for `-L` and for usage errors.
    pub summary: &'static str,
    /// The manual page: Markdown under fixed headings.
    pub docs: &'static str,
    /// How it compares with httpd's.
    pub compat: Compat,
    /// How arguments are taken and what is done with them.
    pub set: Set,
}

impl Directive {
    /// The fields that most declarations leave alone.
    pub const EXACT: Directive = Directive {
        name: "",
        aliases: &[],
        syntax: "",
        context: Context::ANYWHERE,
        overrides: Override::NONE,
        default: "",
        summary: "",
        docs: "",
        compat: Compat::Exact,
        set: Set::None(|_| Ok(())),
    };

    /// A container such as `<Directory>`?
    pub fn is_section(&self) -> bool {
        self.name.starts_with('<')
    }

    /// The name as it is written in prose: `<Directory>`, `Options`.
    pub fn shown(&self) -> String {
        if self.is_section() { format!("{}>", self.name) } else { self.name.to_owned() }
    }
}

/// How arguments are taken, and what is done with them: one value, so that they cannot
/// disagree. httpd keeps these in two fields of its `command_rec`; its names are beside.
pub enum Set {
    /// `NO_ARGS`.
    None(fn(&mut Scope) -> Result),
    /// `TAKE1`.
    One(fn(&mut Scope, &Word) -> Result),
    /// `TAKE12`.
    OneOrTwo(fn(&mut Scope, &Word, Option<&Word>) -> Result),
    /// `TAKE2`.
    Two(fn(&mut Scope, &Word, &Word) -> Result),
    /// `TAKE23`.
    TwoOrThree(fn(&mut Scope, &Word, &Word, Option<&Word>) -> Result),
    /// `TAKE123`.
    UpToThree(fn(&mut Scope, &Word, Option<&Word>, Option<&Word>) -> Result),
    /// `ITERATE`.
    Each(fn(&mut Scope, &Word) -> Result),
    /// `ITERATE2`.
    FirstThenEach(fn(&mut Scope, &Word, &Word) -> Result),
    /// `FLAG`.
    Flag(fn(&mut Scope, bool) -> Result),
    /// `TAKE_ARGV`.
    Words(fn(&mut Scope, &[Word]) -> Result),
    /// `RAW_ARGS`.
    Raw(fn(&mut Scope, &Text) -> Result),
    /// A container: `RAW_ARGS` of the opening tag; the setter compiles the body.
    Section(fn(&mut Scope, &Text) -> Result),
    /// Acts while the files are read (`EXEC_ON_READ`); `expand.rs` carries it out.
    Read(Args, Read),
}

/// How many arguments a reading directive takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Args {
    /// `TAKE1`.
    One,
    /// `TAKE12`.
    OneOrTwo,
    /// `TAKE2`.
    Two,
    /// `ITERATE`.
    Each,
    /// `RAW_ARGS`, or a container.
    Raw,
}

/// The directives that act while the files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// `Define`.
    Define,
    /// `UnDefine`.
    UnDefine,
    /// `Include`.
    Include,
    /// `IncludeOptional`.
    IncludeOptional,
    /// `<IfModule>`.
    IfModule,
    /// `<IfDefine>`.
    IfDefine,
    /// `<IfVersion>`.
    IfVersion,
    /// `<IfFile>`.
    IfFile,
    /// `<IfDirective>`.
    IfDirective,
    /// `<IfSection>`.
    IfSection,
    /// `<Macro>`.
    Macro,
    /// `UndefMacro`.
    UndefMacro,
    /// `Use`.
    Use,
    /// `LoadModule`.
    LoadModule,
    /// `LoadFile`.
    LoadFile,
    /// `ServerRoot`.
    ServerRoot,
    /// `Error`.
    Error,
}

impl Set {
    /// The usage error for a wrong number of arguments, in httpd's words; see
    /// `invoke_cmd` in httpd's `server/config.c`.
    pub fn usage(&self, name: &str, summary: &str) -> String {
        let takes = match self {
            Set::None(_) => return format!("{name} takes no arguments"),
            Set::Flag(_) => return format!("{name} must be On or Off"),
            Set::One(_) | Set::Read(Args::One, _) => "takes one argument",
            Set::OneOrTwo(_) | Set::Read(Args::OneOrTwo, _) => "takes 1-2 arguments",
            Set::Two(_) | Set::Read(Args::Two, _) => "takes two arguments",
            Set::TwoOrThree(_) => "takes two or three arguments",
            Set::UpToThree(_) => "takes one, two or three arguments",
            Set::Each(_) | Set::Read(Args::Each, _) => "requires at least one argument",
            Set::FirstThenEach(_) => "requires at least two arguments",
            Set::Words(_) | Set::Raw(_) | Set::Section(_) | Set::Read(Args::Raw, _) => {
                "is given wrongly"
            }
        };
        let comma = if summary.is_empty() { "" } else { ", " };
        format!("{name} {takes}{comma}{summary}")
    }
}

/// A named group of directives with its hooks.
pub struct Module {
    /// As `<IfModule>` and `-l` name it: `mod_env.c`.
    pub name: &'static str,
    /// As `LoadModule` and `-M` name it: `env_module`.
    pub id: &'static str,
    /// Its directives, in the order of its page.
    pub directives: &'static [&'static Directive],
    /// What it does in which phase.
    pub hooks: &'static [Hooked],
}

impl std::fmt::Debug for Directive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
