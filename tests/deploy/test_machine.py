"""The image's recipe and the units of systemd."""

import re
import shutil
import tempfile
import unittest
from pathlib import Path

from project import DEPLOY, ROOT, grace_seconds, run, tool

RECIPE = DEPLOY / "docker" / "Dockerfile"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def hadolint(text):
    """Exit code and findings for a recipe."""
    return run(tool("hadolint"), "--failure-threshold", "style", "-", input=text)


class Image(unittest.TestCase):
    def test_the_linter_has_nothing_to_say(self):
        text = RECIPE.read_text()
        self.assertEqual(hadolint(text), (0, ""))
        for right, wrong in [("WORKDIR /build", "WORKDIR build"), ("rust:1.95-bookworm@", "rust:latest AS x #@")]:
            self.assertNotEqual(hadolint(text.replace(right, wrong))[0], 0, wrong)

    def test_the_image_holds_no_shell_and_no_root(self):
        final = "FROM" + RECIPE.read_text().rsplit("\nFROM", 1)[1]
        self.assertTrue(final.startswith("FROM ${BASE}\n"))
        self.assertRegex(RECIPE.read_text(), r"ARG BASE=gcr\.io/distroless/cc-debian12:nonroot@sha256:[0-9a-f]{64}\n")
        self.assertNotIn("\nRUN", final)
        self.assertRegex(final, r"\nUSER [1-9]\d+:[1-9]\d+\n")
        for line in re.findall(r"^(?:ENTRYPOINT|CMD|HEALTHCHECK.* CMD) (.*)$", final, re.M):
            self.assertRegex(line, r'^\["', "without a shell a command is a list")

    def test_the_compiler_is_the_one_that_the_package_asks_for(self):
        asked = re.search(r'rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text())[1]
        self.assertIn(f"FROM rust:{asked}-", RECIPE.read_text())

    def test_every_image_is_named_by_its_digest(self):
        for name in re.findall(r"^(?:FROM|ARG BASE=) ?(\S+)", RECIPE.read_text(), re.M):
            self.assertRegex(name, r"^\$\{BASE\}$|@sha256:[0-9a-f]{64}$")

    def test_what_is_let_through_is_enough_to_read_the_package(self):
        kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        # What the source takes in at compile time, besides itself.
        needed = {"Cargo.toml", "Cargo.lock", "src", "migrations", ".sqlx", "build.rs", ".askama.toml"}
        self.assertLessEqual(needed, set(kept))
        with tempfile.TemporaryDirectory() as folder:
            for name in kept:
                source = ROOT / name
                if source.is_dir():
                    shutil.copytree(source, Path(folder) / name)
                elif source.exists():
                    shutil.copy(source, folder)
            metadata = ["metadata", "--locked", "--offline", "--no-deps", "--format-version=1"]
            code, said = run(tool("cargo"), *metadata, cwd=folder)
        self.assertEqual(code, 0, said)


class Systemd(unittest.TestCase):
    def verify(self, text):
        """Exit code and what systemd says about a unit. The program need not be installed here."""
        with tempfile.TemporaryDirectory() as folder:
            unit = Path(folder) / "syncline.service"
            unit.write_text(text.replace("/usr/local/bin/syncline", "/bin/true"))
            return run(tool("systemd-analyze"), "verify", "--man=no", str(unit))

    def test_systemd_understands_the_units(self):
        self.assertEqual(len(UNITS), 2)
        for unit in UNITS:
            with self.subTest(unit=unit.name):
                self.assertEqual(self.verify(unit.read_text()), (0, ""))
                code, said = self.verify(unit.read_text().replace("ProtectHome=yes", "ProtectHouse=yes"))
                self.assertTrue(code != 0 or "ProtectHouse" in said, said)

    def test_the_units_are_shut_off(self):
        for unit in UNITS:
            with self.subTest(unit=unit.name):
                # In tenths: 1.5 of 10, where 10 is a service without any restriction.
                check = ["security", "--offline=true", "--threshold=15"]
                code, said = run(tool("systemd-analyze"), *check, str(unit))
                self.assertEqual(code, 0, said)

    def test_both_units_are_shut_off_alike(self):
        shut = lambda unit: [
            line for line in unit.read_text().split("DynamicUser")[1].splitlines() if re.match("[A-Z]", line)
        ]
        worker, migrate = shut(UNITS[1]), shut(UNITS[0])
        self.assertEqual([line for line in worker if line in migrate], migrate)

    def test_systemd_kills_later_than_a_worker_gives_up_waiting(self):
        seconds = int(re.search(r"TimeoutStopSec=(\d+)s", (DEPLOY / "systemd/syncline.service").read_text())[1])
        self.assertGreater(seconds, grace_seconds() + 5)


if __name__ == "__main__":
    unittest.main()
