//! Our server in front of real FastCGI programs, and in front of the probe where no real
//! program would show what has to be shown.

mod beside;
mod dokuwiki;
mod dokuwiki_rewrite;
mod flup;
mod libfcgi;
mod mediawiki;
mod perl;
mod php;
mod pretty;
mod probe;
mod roundcube;
mod site;
mod variables;
