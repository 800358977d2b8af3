//! Where a directive stands, and what a `.htaccess` file may say.

use bytes::Bytes;

use crate::modules::core::Limited;
use crate::schema::{Context, Override};

/// Where a directive stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The kind of place.
    pub context: Context,
    /// The nearest container's name, such as `<Directory`.
    pub container: Option<&'a str>,
    /// Of `.htaccess`: what `AllowOverride` lets it say.
    pub allowed: Option<&'a Allowed>,
    /// The path of the nearest container.
    pub path: Option<&'a Bytes>,
    /// The methods that `<Limit>` or `<LimitExcept>` leaves to it.
    pub limited: Option<&'a Limited>,
    /// The place around this one.
    pub outer: Option<&'a Place<'a>>,
}

impl Place<'_> {
    /// The top of a server's files.
    pub const SERVER: Place<'static> = Place {
        context: Context::SERVER,
        container: None,
        allowed: None,
        path: None,
        limited: None,
        outer: None,
    };

    /// Is one of the containers around this place called `name` (with its `<`)?
    pub fn is_within(&self, name: &str) -> bool {
        self.container == Some(name)
            || self.outer.is_some_and(|outer| outer.is_within(name))
    }
}

/// What `AllowOverride` and `AllowOverrideList` let a `.htaccess` file say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The classes.
    pub classes: Override,
    /// The options that `Options` may name; `None` for all.
    pub options: Option<crate::modules::core::OptionSet>,
    /// Directives by lower-case name.
    pub list: Vec<String>,
    /// What is not allowed is passed over instead of failing the request, by class.
    pub nonfatal: Nonfatal,
}

/// `AllowOverride Nonfatal=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nonfatal {
    /// Everything wrong fails the request.
    #[default]
    None,
    /// Directives of classes that are not allowed are passed over.
    Override,
    /// Unknown directives are passed over.
    Unknown,
    /// Both.
    All,
}
