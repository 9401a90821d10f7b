"""Carry the weights along: they lie beside the package in a checkout, inside it when installed."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithWeights(build_py):
    """Copies `weights/` to `burstfix/weights_files`, where `burstfix.weights` looks first."""

    def run(self) -> None:
        """Build the package, then add the weights; an editable install finds them in place."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "burstfix", "weights_files")
            target.mkdir(parents=True, exist_ok=True)
            for path in Path(__file__).parent.glob("weights/*.safetensors"):
                shutil.copy(path, target)


setup(cmdclass={"build_py": BuildWithWeights})
