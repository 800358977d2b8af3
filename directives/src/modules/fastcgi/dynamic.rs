//! `FastCgiConfig`: all applications that requests start.

use super::options::DYNAMIC;
use super::read_options;
use crate::compile::Scope;
use crate::schema::{Compat, Context, Directive, Result, Set, Word};
use crate::syntax::Text;

pub static FAST_CGI_CONFIG: Directive = Directive {
    name: "FastCgiConfig",
    aliases: &["FCGIConfig"],
    syntax: "[option ...]",
    context: Context::SERVER,
    summary: "",
    docs: r"
How dynamic applications come and go. A dynamic application is any file that the handler
`fastcgi-script` meets and that no `FastCgiServer` or `FastCgiExternalServer` names; it
needs `Options ExecCGI` or `ScriptAlias`.

Load is the time that instances are busy, in percent of the time that they are there.
The busiest application keeps its instances; one that ends for want of work is never
ended while it answers a request.

## Example
    FastCgiConfig -autoUpdate -idle-timeout 120 -maxClassProcesses 5
",
    compat: Compat::Differs(
        "busy time counts from the connection on, and the load formula is computed with \
         fractions; a second directive adds to the initial environment instead of replacing it",
    ),
    set: Set::Raw(set),
    ..Directive::EXACT
};

fn set(at: &mut Scope, args: &Text) -> Result {
    let name = at.cmd.name;
    let mut draft = at.process().fastcgi.dynamic.clone();
    read_options(at, &Word::all(args), DYNAMIC, name, &mut draft)?;
    let (slack, max) = (draft.policy.process_slack, draft.policy.max_processes);
    if slack > max {
        let message = format!(
            "{name}: processSlack ({slack}) must be less than maxProcesses ({max}) + 1"
        );
        return Err(message.into());
    }
    at.process().fastcgi.dynamic = draft;
    Ok(())
}
