//! `<Limit>` and `<LimitExcept>`: access control for some methods only.

use http::Method;

use crate::compile::Scope;
use crate::schema::{Context, Directive, Override, Problem, Result, Set};
use crate::syntax::Text;

/// The methods that directives are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    methods: Vec<String>,
    /// All but these.
    except: bool,
}

impl Default for Limited {
    fn default() -> Limited {
        Limited { methods: Vec::new(), except: true }
    }
}

impl Limited {
    /// Are they for a request of this method? HEAD is treated as GET.
    pub fn covers(&self, method: &Method) -> bool {
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        self.methods.iter().any(|known| known == method) != self.except
    }
}

impl Limited {
    /// Is there a method that both cover?
    fn meets(&self, other: &Limited) -> bool {
        match (self.except, other.except) {
            (true, true) => true,
            (false, true) => self.methods.iter().any(|m| !other.methods.contains(m)),
            (true, false) => other.meets(self),
            (false, false) => self.methods.iter().any(|m| other.methods.contains(m)),
        }
    }
}

/// A setting that may differ between methods.
#[derive(Clone, Debug)]
pub struct PerMethod<T>(Vec<(Limited, T)>);

impl<T> Default for PerMethod<T> {
    fn default() -> PerMethod<T> {
        PerMethod(Vec::new())
    }
}

impl<T: Clone> PerMethod<T> {
    /// Sets it for some methods.
    pub fn set(&mut self, limited: Limited, value: T) {
        self.0.push((limited, value));
    }

    /// Its value for a method: the last one that was set.
    pub fn get(&self, method: &Method) -> Option<&T> {
        let found = self.0.iter().rev().find(|(limited, _)| limited.covers(method));
        found.map(|(_, value)| value)
    }

    /// Is it not set for any method?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn limit(at: &mut Scope, args: &Text, except: bool) -> Result {
    let name = at.cmd.name;
    let mut methods = Vec::new();
    for word in at.section_words(args)? {
        let method = word.lossy();
        if method == "TRACE" && !except {
            let message =
                format!("TRACE cannot be controlled by {name}>, see TraceEnable");
            return Err(Problem::from(message).at(word.span));
        }
        if at.place.context != Context::HTACCESS {
            at.process().core.methods.push(method.clone());
        } else if !is_method(at, &method) {
            let message = format!(
                "Could not register method '{method}' for {name} from .htaccess configuration"
            );
            return Err(Problem::from(message).at(word.span));
        }
        methods.push(if method == "HEAD" { "GET".to_owned() } else { method });
    }
    let limited = Limited { methods, except };
    // Both would have to hold, which httpd finds out from the bits.
    if let Some(outer) = at.place.limited
        && !outer.meets(&limited)
    {
        return Err(format!("{name}> directive excludes all methods").into());
    }
    // What is said inside belongs to the same section.
    at.limited_body(&limited);
    Ok(())
}

/// Is a method of this name known here? `ap_method_number_of`.
pub fn is_method(at: &mut Scope, name: &str) -> bool {
    crate::content::is_known_method(name)
        || at.process().core.methods.iter().any(|known| known == name)
}

pub static REGISTER_HTTP_METHOD: Directive = Directive {
    name: "RegisterHttpMethod",
    syntax: "method [method] ...",
    context: Context::SERVER,
    summary: "Registers non-standard HTTP methods",
    docs: r"
Makes methods known to `Require method`. Requests of any method go to an application
without it.

## Example
    RegisterHttpMethod PURGE
",
    set: Set::Each(|at, word| {
        let method = word.lossy();
        at.process().core.methods.push(method);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static LIMIT: Directive = Directive {
    name: "<Limit",
    syntax: "method [method] ...",
    context: Context::PER_DIRECTORY,
    overrides: Override::ALL,
    summary: "Container for authentication directives when accessed using specified HTTP methods",
    docs: r"
Access control for some methods: `Require`, `Order`, `Allow`, `Deny` and `Satisfy` in it
hold for these only. GET includes HEAD. Other methods are not restricted by it:
`<LimitExcept>` is nearly always what is meant. Other directives in it hold for all methods.

## Example
    <Directory /srv/dav>
        <Limit PUT DELETE>
            Require ip 192.0.2
        </Limit>
    </Directory>
",
    set: Set::Section(|at, args| limit(at, args, false)),
    ..Directive::EXACT
};

pub static LIMIT_EXCEPT: Directive = Directive {
    name: "<LimitExcept",
    syntax: "method [method] ...",
    context: Context::PER_DIRECTORY,
    overrides: Override::ALL,
    summary: "Container for authentication directives to be applied when any HTTP method other \
              than those specified is used to access the resource",
    docs: r"
Access control for all methods but these, unknown ones included.

## Example
    <Directory /srv/dav>
        <LimitExcept GET POST>
            Require all denied
        </LimitExcept>
    </Directory>
",
    set: Set::Section(|at, args| limit(at, args, true)),
    ..Directive::EXACT
};
