//! Builds again when a migration is added: the embedded list would otherwise stay the old one.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
