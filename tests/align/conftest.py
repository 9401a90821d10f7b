"""Scenes that the tests of alignment share."""

import pytest
from align_scene import Camera, make_camera


@pytest.fixture(scope="session")
def camera() -> Camera:
    """A scene that fills a picture of 480 x 640."""
    return make_camera((480, 640), seed=1)


@pytest.fixture(scope="session")
def other_camera() -> Camera:
    """Another scene of the same size."""
    return make_camera((480, 640), seed=2)
