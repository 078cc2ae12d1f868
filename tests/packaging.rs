//! What is installed and shipped, made from the program of this test run: `make install`, the archive, the Debian package, the
//! image. What a machine lacks is SKIPPED by name.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use crate::support::{TestDb, eventually, program};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

fn runs(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    said(&output)
}

fn is_there(name: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {name} >/dev/null")]).status().unwrap().success()
}

fn skipped(what: &str) {
    eprintln!("SKIPPED: {what}");
}

fn install(arguments: &[&str], destination: &Path, prefix: &str) -> String {
    let script = root().join("deploy/install/install.sh");
    runs(Command::new(script).args(arguments).env("DESTDIR", destination).env("PREFIX", prefix))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found.sort();
    found
}

#[test]
fn install_lays_down_what_it_promises_and_removes_it() {
    let folder = tempfile::tempdir().unwrap();
    install(&[program().to_str().unwrap()], folder.path(), "/opt/syncline");
    let root = folder.path().join("opt/syncline");
    for name in [
        "share/bash-completion/completions/syncline",
        "share/zsh/site-functions/_syncline",
        "share/fish/vendor_completions.d/syncline.fish",
        "share/man/man1/syncline-site-add.1",
        "bin/synclinectl",
    ] {
        assert!(root.join(name).metadata().is_ok_and(|file| file.len() > 100), "{name}");
    }
    let installed = root.join("bin/syncline");
    let size = |path: &Path| path.metadata().unwrap().len();
    assert!(!is_there("strip") || size(&installed) < size(program()) / 2, "symbols are stripped");
    assert!(runs(Command::new(&installed).arg("--version")).starts_with("syncline "));
    let unit = std::fs::read_to_string(root.join("lib/systemd/system/syncline.service")).unwrap();
    assert!(unit.contains("ExecStart=/opt/syncline/bin/syncline worker"), "{unit}");

    install(&["--remove"], folder.path(), "/opt/syncline");
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new(), "nothing is left");
}

#[test]
fn synclinectl_runs_a_command_as_the_service_does() {
    // What systemd is asked for; systemd itself runs on few machines that build.
    let folder = tempfile::tempdir().unwrap();
    let fake = folder.path().join("systemd-run");
    std::fs::write(&fake, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    runs(Command::new("chmod").args(["+x", fake.to_str().unwrap()]));
    let script = root().join("deploy/systemd/synclinectl");
    let asked = runs(Command::new(&script).args(["project", "list", "-o", "json"]).env("PATH", path));
    let unit = std::fs::read_to_string(root().join("deploy/systemd/syncline.service")).unwrap();
    for setting in
        ["DynamicUser", "WorkingDirectory", "EnvironmentFile", "LoadCredential", "Environment", "ProtectHome"]
    {
        let line = unit.lines().find(|line| line.starts_with(&format!("{setting}="))).unwrap();
        assert!(asked.contains(&format!("--property={line}\n")), "{line}\n{asked}");
    }
    assert!(asked.contains("--uid=syncline\n"), "{asked}");
    let words: Vec<&str> = asked.lines().collect();
    assert_eq!(words[words.len() - 4..], ["project", "list", "-o", "json"]);
    assert!(words[words.len() - 5].ends_with("/syncline"), "the program beside it");
}

#[test]
fn the_archive_and_the_package_hold_a_program_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dist");
    let script = root().join("deploy/install/dist.sh");
    runs(Command::new(script).arg(program()).arg(&out).env("LEVEL", "1"));
    runs(Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&out));
    let named = |ending: &str| files(&out).into_iter().find(|path| path.to_string_lossy().ends_with(ending));

    let unpacked = folder.path().join("archive");
    std::fs::create_dir(&unpacked).unwrap();
    let archive = named(".tar.gz").unwrap();
    runs(Command::new("tar").args(["--strip-components", "1", "-xzf"]).arg(archive).arg("-C").arg(&unpacked));
    assert!(runs(Command::new(unpacked.join("usr/local/bin/syncline")).arg("--version")).starts_with("syncline "));

    let Some(package) = named(".deb") else { return skipped("the Debian package: dpkg-deb is not installed") };
    let unpacked = folder.path().join("package");
    runs(Command::new("dpkg-deb").args(["--raw-extract"]).arg(&package).arg(&unpacked));
    assert!(runs(Command::new(unpacked.join("usr/bin/syncline")).arg("--version")).starts_with("syncline "));
    let read = |name: &str| std::fs::read_to_string(unpacked.join(name)).unwrap();
    assert_eq!(read("DEBIAN/conffiles"), "/etc/syncline/environment\n/etc/syncline/syncline.toml\n");
    assert!(read("DEBIAN/postinst").contains("useradd --system --gid syncline"));
    let control = read("DEBIAN/control");
    assert!(!control.contains('@') || control.matches('@').count() == 1, "every place is filled: {control}");
    assert!(control.contains("Depends: libc6 (>= 2."), "{control}");
    assert!(read("usr/lib/systemd/system/syncline.service").contains("ExecStart=/usr/bin/syncline worker"));
    let listed = runs(Command::new("dpkg-deb").arg("--contents").arg(&package));
    for line in listed.lines() {
        assert!(line.contains("root/root"), "{line}");
    }
    let environment = listed.lines().find(|line| line.ends_with("/etc/syncline/environment")).unwrap();
    assert!(environment.starts_with("-rw-r-----"), "it may hold tokens: {environment}");
    // The settings that it brings are settings.
    let shown = runs(
        Command::new(program())
            .args(["--config"])
            .arg(unpacked.join("etc/syncline/syncline.toml"))
            .args(["config", "show"]),
    );
    assert!(shown.contains("queue.workers"), "{shown}");
}

/// The image, built once for each run of the tests; none where it cannot be built here.
static IMAGE: LazyLock<Option<String>> = LazyLock::new(|| {
    for (program, package) in [("buildah", "buildah"), ("dpkg-deb", "dpkg"), ("apt-get", "apt")] {
        if !is_there(program) {
            skipped(&format!("the image: {program} is not installed (apt-get install {package})"));
            return None;
        }
    }
    let tag = format!("localhost/syncline-test:{}", std::process::id());
    let script = root().join("deploy/docker/image.sh");
    let output =
        Command::new(script).arg(program()).args([&tag, "packages"]).env("STORAGE_DRIVER", "vfs").output().unwrap();
    if said(&output).contains("apt-get download found no packages") {
        skipped("the image: this machine has no list of Debian's packages (apt-get update)");
        return None;
    }
    assert!(output.status.success(), "{}", said(&output));
    Some(tag)
});

/// A container of the image, removed when dropped; with the image, for it is nobody else's.
struct Container(String, String);

fn buildah(arguments: &[&str]) -> Command {
    let mut command = Command::new("buildah");
    command.args(arguments).env("STORAGE_DRIVER", "vfs").stdin(Stdio::null());
    command
}

impl Drop for Container {
    fn drop(&mut self) {
        buildah(&["rm", &self.0]).output().ok();
        buildah(&["rmi", "--force", &self.1]).output().ok();
    }
}

#[tokio::test]
async fn the_image_works_answers_probes_and_ends_on_sigterm() {
    let Some(tag) = IMAGE.as_deref() else { return };
    let container = runs(&mut buildah(&["from", "--pull=never", tag])).trim().to_owned();
    let container = Container(container, tag.to_owned());
    let inspected = runs(&mut buildah(&["inspect", "--type", "image", tag]));
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    let config = &inspected["Docker"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["StopSignal"], "SIGTERM");
    assert_eq!(config["Healthcheck"]["Test"][2], "healthcheck", "{config}");
    assert_eq!(config["Entrypoint"][0], "/usr/local/bin/syncline");

    // No shell, and nothing that its user may write to but what is made for that.
    let mounted = runs(&mut buildah(&["mount", &container.0]));
    let inside = Path::new(mounted.trim());
    for name in ["bin/sh", "usr/bin/sh", "usr/bin/apt-get", "usr/bin/dpkg"] {
        assert!(!inside.join(name).exists(), "{name}");
    }
    assert!(inside.join("etc/ssl/certs/ca-certificates.crt").metadata().unwrap().len() > 100_000);

    let db = TestDb::new().await;
    let run = |arguments: &[&str]| {
        let mut command = buildah(&["run", "--isolation", "chroot", "--user", "65532:65532"]);
        command.args([
            "--env",
            &format!("DATABASE_URL={}", db.url()),
            "--env",
            "SYNCLINE__HTTP__ADDRESS=127.0.0.1:19464",
        ]);
        command.args(["--", &container.0, "/usr/local/bin/syncline"]).args(arguments);
        command
    };
    runs(&mut run(&["migrate", "--check"]));
    let log = tempfile::NamedTempFile::new().unwrap();
    let output = || std::fs::File::options().append(true).open(log.path()).unwrap();
    let mut worker = run(&["worker"]).stdout(output()).stderr(output()).spawn().unwrap();
    let heard = || std::fs::read_to_string(log.path()).unwrap();
    eventually("a worker that listens", async || heard().contains("admin_listening")).await;
    eventually("a worker that is ready", async || run(&["healthcheck", "--ready"]).output().unwrap().status.success())
        .await;
    // The process itself, below those that isolate it.
    let own = worker_of(worker.id()).expect("the worker's process");
    assert!(Command::new("kill").args(["-TERM", &own.to_string()]).status().unwrap().success());
    let status = worker.wait().unwrap();
    assert!(status.success(), "{status}: {}", heard());
    assert_eq!(written_below(inside), Vec::<PathBuf>::new(), "nothing was written to its root");
}

/// The program among the descendants of a process.
fn worker_of(ancestor: u32) -> Option<u32> {
    let parent = |process: u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<u32>().ok())
    };
    let is_below = |process: u32| {
        std::iter::successors(Some(process), |process| parent(*process)).take(16).any(|process| process == ancestor)
    };
    let is_program = |process: u32| {
        std::fs::read(format!("/proc/{process}/cmdline"))
            .is_ok_and(|line| line.starts_with(b"/usr/local/bin/syncline\0worker"))
    };
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.into_iter().find(|process| is_program(*process) && is_below(*process))
}

/// Files of the user of the image: the root would hold none if it were read only.
fn written_below(folder: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    files(folder).into_iter().filter(|path| path.symlink_metadata().is_ok_and(|file| file.uid() == 65532)).collect()
}
