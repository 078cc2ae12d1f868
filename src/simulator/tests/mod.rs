//! The promises of the simulator, over its routes and over HTTP.
