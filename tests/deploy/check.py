"""Runs every check of deploy/, and names those that this machine cannot make."""

import sys
import unittest
from pathlib import Path

suite = unittest.defaultTestLoader.discover(str(Path(__file__).parent))
result = unittest.TextTestRunner(verbosity=1).run(suite)
for test, reason in result.skipped:
    print(f"SKIPPED: {test.id()}: {reason}", file=sys.stderr)
sys.exit(not result.wasSuccessful() or result.testsRun == 0)
