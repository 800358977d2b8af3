//! The texts that a configuration was read from.

use std::sync::Arc;

use crate::syntax::span::{FileId, line_of};

/// How a source came to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Named on the command line, or the command line itself.
    Root,
    /// By a directive on `line` of `file`.
    Included {
        /// The including source.
        file: FileId,
        /// The line of the directive.
        line: u32,
    },
}

/// One text.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path, or for a macro's lines the words that httpd uses.
    pub name: String,
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// Whence.
    pub origin: Origin,
    /// Read from a file of its own (not the command line, not a macro).
    pub is_file: bool,
}

/// All texts; a [`FileId`] is an index.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a text.
    pub fn add(&mut self, source: Source) -> FileId {
        self.0.push(source);
        FileId(self.0.len() as u32 - 1)
    }

    /// A text.
    pub fn get(&self, file: FileId) -> &Source {
        &self.0[file.0 as usize]
    }

    /// All of them, in the order of reading.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// A text's name.
    pub fn name(&self, file: FileId) -> &str {
        self.0.get(file.0 as usize).map_or("(unknown)", |s| s.name.as_str())
    }

    /// A text's bytes.
    pub fn bytes(&self, file: FileId) -> &[u8] {
        self.0.get(file.0 as usize).map_or(&[], |s| &s.bytes)
    }

    /// A text as characters; a byte that is none becomes `?`, so offsets stay true.
    pub fn lossy(&self, file: FileId) -> String {
        let mut out = String::new();
        let mut rest = self.bytes(file);
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    out.push_str(text);
                    return out;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    out.push_str(std::str::from_utf8(good).unwrap_or_default());
                    out.push('?');
                    rest = &bad[1..];
                }
            }
        }
    }

    /// The directives that led to `file`, outermost first: (file, line) pairs.
    pub fn includes(&self, mut file: FileId) -> Vec<(FileId, u32)> {
        let mut chain = Vec::new();
        while let Some(Source {
            origin: Origin::Included { file: outer, line }, ..
        }) = self.0.get(file.0 as usize)
        {
            chain.push((*outer, *line));
            file = *outer;
        }
        chain.reverse();
        chain
    }

    /// The one-based line of a byte.
    pub fn line(&self, file: FileId, at: u32) -> u32 {
        line_of(self.bytes(file), at as usize)
    }
}

/// Where configuration is looked for unless `-d` and `-f` say otherwise: Debian's place.
pub const HTTPD_ROOT: &str = match option_env!("FCGI_HTTPD_ROOT") {
    Some(path) => path,
    None => "/etc/apache2",
};

/// The file there.
pub const SERVER_CONFIG_FILE: &str = match option_env!("FCGI_HTTPD_CONFIG_FILE") {
    Some(path) => path,
    None => "apache2.conf",
};

/// Where reading starts: what the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// `-f`, relative to the server root unless absolute.
    pub file: Vec<u8>,
    /// `-d`.
    pub server_root: Vec<u8>,
    /// `-D` names.
    pub defines: Vec<String>,
    /// `-C` directives, before the file.
    pub before: Vec<String>,
    /// `-c` directives, after it.
    pub after: Vec<String>,
    /// `-T`: leave out the check of document roots.
    pub skip_document_roots: bool,
    /// Who reads: effective user.
    pub euid: u32,
    /// Effective group.
    pub egid: u32,
}
