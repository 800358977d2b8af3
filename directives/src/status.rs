//! Status codes: their reasons, and the pages that httpd sends for them.

use crate::path::escape_html;
use crate::request::Request;

/// The reason of a status, as httpd spells it (`status_lines` in `http_protocol.c`).
pub fn reason(status: u16) -> Option<&'static str> {
    Some(match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => return None,
    })
}

/// Code and reason; an unknown code is described by itself (`ap_get_status_line_ex`).
pub fn line(status: u16) -> String {
    match reason(status) {
        Some(reason) => format!("{status} {reason}"),
        None => format!("{status} Status {status}"),
    }
}

/// Does a connection end after this status? See `ap_status_drops_connection`.
pub fn drops_connection(status: u16) -> bool {
    matches!(status, 400 | 408 | 411 | 413 | 414 | 500 | 501 | 503)
}

/// Is it a redirection that carries `Location`?
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 300..=399) && status != 304
}

/// Has a response of this status no body?
pub fn is_bodyless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// The page for an error, as `ap_send_error_response` writes it. `also` is the status of
/// a second error that the attempt to use an `ErrorDocument` ended with.
pub fn page(r: &Request, status: u16, also: Option<u16>) -> Vec<u8> {
    // A reason of a module's own counts if it begins with the right number.
    let own = r.reason.as_ref().map(|line| String::from_utf8_lossy(line).into_owned());
    let own = own.filter(|line| line.starts_with(&format!("{status} ")));
    let title = own.unwrap_or_else(|| line(status));
    let heading = match title.get(4..) {
        Some(words) if r.reason.is_some() => words,
        _ => reason(status).unwrap_or("Internal Server Error"),
    };
    let mut out = format!(
        "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \
         \"http://www.w3.org/TR/html4/strict.dtd\">\n<html><head>\n<title>{title}</title>\n\
         </head><body>\n<h1>{heading}</h1>\n"
    )
    .into_bytes();
    out.extend_from_slice(&sentence(r, status));
    if let Some(also) = also {
        let text = format!(
            "<p>Additionally, a {}\nerror was encountered while trying to use an ErrorDocument \
             to handle the request.</p>\n",
            line(also)
        );
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&signature(r, b"<hr>\n"));
    out.extend_from_slice(b"</body></html>\n");
    out
}

/// `ServerSignature`'s line under pages (`ap_psignature`).
pub fn signature(r: &Request, prefix: &[u8]) -> Vec<u8> {
    use crate::modules::core::Signature;
    let kind = r.dir.core.server_signature.unwrap_or_default();
    if kind == Signature::Off {
        return Vec::new();
    }
    let banner = crate::version::server(r.snapshot.process.core.server_tokens);
    let name =
        String::from_utf8_lossy(&escape_html(r.server_name().as_bytes())).into_owned();
    let port = r.server_port();
    let name = match (kind, &r.server.config.core.server_admin) {
        (Signature::Email, Some(admin)) => {
            let admin =
                String::from_utf8_lossy(&escape_html(admin.as_bytes())).into_owned();
            format!("<a href=\"mailto:{admin}\">{name}</a>")
        }
        _ => name,
    };
    let mut out = prefix.to_vec();
    let line = format!("<address>{banner} Server at {name} Port {port}</address>\n");
    out.extend_from_slice(line.as_bytes());
    out
}

fn sentence(r: &Request, status: u16) -> Vec<u8> {
    let notes =
        r.notes.get(b"error-notes").map(|notes| notes.to_vec()).unwrap_or_default();
    let method = escape_html(r.method.as_str().as_bytes());
    let location =
        r.headers_out.get("Location").or_else(|| r.err_headers_out.get("Location"));
    let location = location.map(|l| escape_html(l)).unwrap_or_default();
    let join = |parts: &[&[u8]]| parts.concat();
    match status {
        301 | 302 | 307 | 308 => {
            join(&[b"<p>The document has moved <a href=\"", &location, b"\">here</a>.</p>\n"])
        }
        303 => join(&[
            b"<p>The answer to your request is located <a href=\"",
            &location,
            b"\">here</a>.</p>\n",
        ]),
        305 => b"<p>This resource is only accessible through the proxy\n<br />\nYou will need to \
                 configure your client to use that proxy.</p>\n"
            .to_vec(),
        400 => join(&[
            b"<p>Your browser sent a request that this server could not understand.<br />\n",
            &notes,
            b"</p>\n",
        ]),
        401 | 407 => b"<p>This server could not verify that you\nare authorized to access the \
                       document\nrequested.  Either you supplied the wrong\ncredentials (e.g., bad \
                       password), or your\nbrowser doesn't understand how to supply\nthe \
                       credentials required.</p>\n"
            .to_vec(),
        403 => join(&[
            b"<p>You don't have permission to access this resource.",
            &notes,
            b"</p>\n",
        ]),
        404 => b"<p>The requested URL was not found on this server.</p>\n".to_vec(),
        405 => join(&[
            b"<p>The requested method ",
            &method,
            b" is not allowed for this URL.</p>\n",
        ]),
        406 => {
            let mut out = b"<p>An appropriate representation of the requested resource could not \
                            be found on this server.</p>\n"
                .to_vec();
            if let Some(variants) = r.notes.get(b"variant-list") {
                out.extend_from_slice(variants);
            }
            out
        }
        300 => r.notes.get(b"variant-list").map(|v| v.to_vec()).unwrap_or_default(),
        408 => b"<p>Server timeout waiting for the HTTP request from the client.</p>\n".to_vec(),
        410 => b"<p>The requested resource is no longer available on this server and there is no \
                 forwarding address.\nPlease remove all references to this resource.</p>\n"
            .to_vec(),
        411 => join(&[
            b"<p>A request of the requested method ",
            &method,
            b" requires a valid Content-length.<br />\n",
            &notes,
            b"</p>\n",
        ]),
        412 => b"<p>The precondition on the request for this URL evaluated to false.</p>\n".to_vec(),
        413 => join(&[
            b"The requested resource does not allow request data with ",
            &method,
            b" requests, or the amount of data provided in\nthe request exceeds the capacity limit.\n",
        ]),
        414 => join(&[
            b"<p>The requested URL's length exceeds the capacity\nlimit for this server.<br />\n",
            &notes,
            b"</p>\n",
        ]),
        415 => b"<p>The supplied request data is not in a format\nacceptable for processing by this \
                 resource.</p>\n"
            .to_vec(),
        416 => b"<p>None of the range-specifier values in the Range\nrequest-header field overlap \
                 the current extent\nof the selected resource.</p>\n"
            .to_vec(),
        417 => expectation(r),
        421 => b"<p>The client needs a new connection for this\nrequest as the requested host name \
                 does not match\nthe Server Name Indication (SNI) in use for this\nconnection.</p>\n"
            .to_vec(),
        422 => b"<p>The server understands the media type of the\nrequest entity, but was unable \
                 to process the\ncontained instructions.</p>\n"
            .to_vec(),
        423 => b"<p>The requested resource is currently locked.\nThe lock must be released or \
                 proper identification\ngiven before the method can be applied.</p>\n"
            .to_vec(),
        424 => b"<p>The method could not be performed on the resource\nbecause the requested action \
                 depended on another\naction and that other action failed.</p>\n"
            .to_vec(),
        426 => b"<p>The requested resource can only be retrieved\nusing SSL.  The server is willing \
                 to upgrade the current\nconnection to SSL, but your client doesn't support it.\n\
                 Either upgrade your client, or try requesting the page\nusing https://\n"
            .to_vec(),
        428 => b"<p>The request is required to be conditional.</p>\n".to_vec(),
        429 => b"<p>The user has sent too many requests\nin a given amount of time.</p>\n".to_vec(),
        431 => join(&[
            b"<p>The server refused this request because\nthe request header fields are too \
              large.</p>\n",
            &notes,
        ]),
        451 => join(&[
            b"<p>Access to this URL has been denied for legal reasons.<br />\n",
            &notes,
            b"</p>\n",
        ]),
        501 => join(&[b"<p>", &method, b" not supported for current URL.<br />\n", &notes, b"</p>\n"]),
        502 => join(&[
            b"<p>The proxy server received an invalid\r\nresponse from an upstream server.<br />\r\n",
            &notes,
            b"</p>\n",
        ]),
        503 => b"<p>The server is temporarily unable to service your\nrequest due to maintenance \
                 downtime or capacity\nproblems. Please try again later.</p>\n"
            .to_vec(),
        504 => b"<p>The gateway did not receive a timely response\nfrom the upstream server or \
                 application.</p>\n"
            .to_vec(),
        506 => b"<p>A variant for the requested resource\n<pre>\n\n</pre>\nis itself a negotiable \
                 resource. This indicates a configuration error.</p>\n"
            .to_vec(),
        507 => b"<p>The method could not be performed on the resource\nbecause the server is unable \
                 to store the\nrepresentation needed to successfully complete the\nrequest.  There \
                 is insufficient free space left in\nyour storage allocation.</p>\n"
            .to_vec(),
        508 => b"<p>The server terminated an operation because\nit encountered an infinite \
                 loop.</p>\n"
            .to_vec(),
        510 => b"<p>A mandatory extension policy in the request is not\naccepted by the server for \
                 this resource.</p>\n"
            .to_vec(),
        511 => b"<p>The client needs to authenticate to gain\nnetwork access.</p>\n".to_vec(),
        _ => internal_error(r, &notes),
    }
}

fn expectation(r: &Request) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    match r.header(http::header::EXPECT) {
        Some(expect) => {
            out.extend_from_slice(
                b"<p>The expectation given in the Expect request-header\nfield could not be met by \
                  this server.\nThe client sent<pre>\n    Expect: ",
            );
            out.extend_from_slice(&escape_html(&expect));
            out.extend_from_slice(b"\n</pre>\n");
        }
        None => out.extend_from_slice(
            b"<p>No expectation was seen, the Expect request-header \nfield was not presented by \
              the client.\n",
        ),
    }
    out.extend_from_slice(
        b"</p><p>Only the 100-continue expectation is supported.</p>\n",
    );
    out
}

/// 402, 409, 500, 505 and codes without words of their own.
fn internal_error(r: &Request, notes: &[u8]) -> Vec<u8> {
    if !notes.is_empty()
        && r.notes.get(b"verbose-error-to").is_some_and(|v| &v[..] == b"*")
    {
        return [notes, b"<p />\n"].concat();
    }
    let admin =
        r.server.config.core.server_admin.as_deref().unwrap_or("[no address given]");
    let admin = escape_html(admin.as_bytes());
    [
        &b"<p>The server encountered an internal error or\nmisconfiguration and was unable to \
           complete\nyour request.</p>\n<p>Please contact the server administrator at \n "[..],
        &admin,
        b" to inform them of the time this error occurred,\n and the actions you performed just \
          before this error.</p>\n<p>More information about this error may be available\nin the \
          server error log.</p>\n",
    ]
    .concat()
}
