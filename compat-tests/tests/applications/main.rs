//! Our server in front of real FastCGI programs, and in front of the probe where no real
//! program would show what has to be shown.

mod dokuwiki;
mod flup;
mod libfcgi;
mod perl;
mod php;
mod probe;
mod site;
mod variables;
