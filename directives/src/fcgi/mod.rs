//! FastCGI's records and parameters as bytes: the server and the tool speak it with these,
//! each over connections of its own.

pub mod params;
pub mod record;
