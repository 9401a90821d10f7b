"""The public names are what is promised, and looked up only when used."""

import subprocess
import sys

import burstfix


def test_every_public_name_is_there() -> None:
    assert all(getattr(burstfix, name) is not None for name in burstfix.__all__)
    assert set(burstfix._HOMES) == set(burstfix.__all__) - {"__version__"}


def test_importing_burstfix_does_not_import_torch() -> None:
    code = "import sys, burstfix; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
