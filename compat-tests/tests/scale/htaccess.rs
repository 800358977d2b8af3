//! A `.htaccess` in each of six directories above a file, against none.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use compat_tests::figures::say;
use compat_tests::site::Site;

use crate::cost;

const REQUESTS: u32 = 3_000;
/// A file six levels deep.
const TARGET: &str = "/1/2/3/4/5/6/page";
/// How old the files are.
const AGE: Duration = Duration::from_secs(3600);
/// How many times as much a request may cost: six files are looked at, and none is read
/// again that has not changed.
const MOST: f64 = 4.0;

#[test]
fn six_levels_of_htaccess() -> Result<()> {
    let mut site = Site::alone()?;
    site.root.write(&format!("htdocs{TARGET}"), b"a page\n")?;
    site.root.write("htdocs/other/2/3/4/5/6/page", b"a page\n")?;
    let mut directory = "htdocs".to_owned();
    for level in 1..=6 {
        directory += &format!("/{level}");
        let text = format!("AddDefaultCharset utf-8\nAddType text/x-{level} .x{level}\n");
        let path = site.root.write(&format!("{directory}/.htaccess"), text.as_bytes())?;
        // One that was changed a moment ago is read for every request: its time would not
        // tell if it changed once more.
        let file = std::fs::File::options().write(true).open(path)?;
        file.set_modified(SystemTime::now() - AGE)?;
    }
    site.serve(
        "MaxKeepAliveRequests 0\n\
         <Directory {root}/htdocs>\nAllowOverride All\n</Directory>\n\
         <Directory {root}/htdocs/other>\nAllowOverride None\n</Directory>\n",
    )?;
    let host = "www.example.org";
    let none = cost(&site, host, "/other/2/3/4/5/6/page", REQUESTS)?;
    let six = cost(&site, host, TARGET, REQUESTS)?;
    let ratio = six.as_secs_f64() / none.as_secs_f64().max(1e-6);
    say(&format!(
        ".htaccess: none {none:?} of processor, six {six:?}, {ratio:.2} times"
    ))?;
    ensure!(ratio < MOST, "six cost {ratio:.2} times as much as none");
    Ok(())
}
