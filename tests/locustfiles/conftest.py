"""What several test files of this folder start."""

import box_control
import pytest
from messenger_server import MessengerServer

from astrometer.targets.messenger.messenger_profile import MessengerProfile


@pytest.fixture
def server(request, real_astrbot):
    box = real_astrbot(request.param)
    box.open_messenger(MessengerProfile())
    yield MessengerServer(url=box.url, app=None, box=box)
    box_control.close_messenger(box)
