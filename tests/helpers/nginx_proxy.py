"""A real nginx in front of a server. Tests that use it need nginx (`needs("nginx", "nginx")`)."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from required import needs
from waiting import until

from astrometer.targets.sandbox.server_process import free_port

CONFIG = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {behind};
      {directives}
    }}
  }}
}}
"""


@contextmanager
def nginx(behind: str, *directives: str) -> Iterator[str]:
    """nginx as it comes, with `directives` added to the place that leads to `behind`; yields its URL."""
    needs("nginx", "nginx")
    port = free_port()
    with TemporaryDirectory() as folder:
        lines = " ".join(f"{directive};" for directive in directives)
        config = Path(folder, "nginx.conf")
        config.write_text(CONFIG.format(port=port, behind=behind, directives=lines))
        process = subprocess.Popen(
            ["nginx", "-p", folder, "-c", str(config)], stderr=subprocess.PIPE, text=True
        )
        try:
            until(lambda: listens(port) or process.poll() is not None, "nginx listens")
            assert process.poll() is None, process.stderr.read()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=10)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
