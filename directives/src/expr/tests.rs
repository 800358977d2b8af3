//! What expressions come to, each confirmed by apache2 beside (compat-tests).

use super::{Condition, Rules, Template};

#[test]
fn what_is_wrong_is_said() {
    let wrong = |text: &str| {
        let rules = Rules { restricted: true, ..Rules::default() };
        Condition::parse(text.as_bytes(), rules).expect_err(text)
    };
    assert_eq!(wrong("%{NOPE} == 'x'"), "Variable 'NOPE' does not exist");
    assert_eq!(wrong("nope('x') == 'x'"), "Function 'nope' does not exist");
    assert_eq!(wrong("-Q 'x'"), "Unary operator '-Q' does not exist");
    assert_eq!(wrong("'a' -quux 'x'"), "Binary operator '-quux' does not exist");
    assert_eq!(wrong("file('x') == ''"), "file not available in restricted context");
    assert_eq!(
        wrong("-R %{REMOTE_ADDR}"),
        "-R requires subnet/netmask as constant argument"
    );
    assert_eq!(wrong("-R 'nonsense'"), "parsing of subnet/netmask failed");
    assert_eq!(wrong("'a' =~ /(/"), "Failed to compile regular expression");
    assert_eq!(wrong("'a"), "Unterminated string or variable");
    assert_eq!(wrong("'\\400' == ''"), "Escape sequence out of bound");
    assert!(wrong(&"!".repeat(1000)).contains("nested too deep"));
    assert!(wrong(&"%{req:".repeat(1000)).contains("nested too deep"));
}

#[test]
fn constant_texts_are_known() {
    let template = Template::parse(br"a \101\102\n$x %", Rules::default()).unwrap();
    assert_eq!(template.constant().map(|text| &text[..]), Some(&b"a AB\n$x %"[..]));
    let template = Template::parse(b"a %{REMOTE_ADDR}", Rules::default()).unwrap();
    assert_eq!(template.constant(), None);
}
