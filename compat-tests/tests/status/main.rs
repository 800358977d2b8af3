//! The status pages of a running server: numbers after known traffic, httpd's keys beside
//! apache2's, and what a browser makes of the pages.

mod auto;
mod browser;
mod demo;
mod looks;
mod numbers;
mod traffic;
