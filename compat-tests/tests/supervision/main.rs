//! Our server as a family of processes: who lives, who is started again, who ends with whom.

mod applications;
mod ends;
mod failing;
mod figures;
mod logs;
mod reloads;
mod site;
mod systemd;
mod wrapper;
