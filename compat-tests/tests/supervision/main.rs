//! Our server as a family of processes: who lives, who is started again, who ends with whom.

mod applications;
mod ends;
mod failing;
mod figures;
mod left;
mod logs;
mod losses;
mod maps;
mod reloads;
mod scripts;
mod site;
mod systemd;
mod wrapper;
