"""An exporter on this machine -> exit code 0 while it answers, with TLS or without. For containers.

    python -m astrometer.probing.exporter.healthcheck [PORT]

The certificate is not verified. An exporter that wants one from its clients proves by asking that it answers.
"""

import http.client
import ssl
import sys

PORT = 16185
LIMIT_S = 4.0


def is_healthy(port: int) -> bool:
    """Whether `/-/healthy` of the loopback's `port` says so."""
    try:
        return _status(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) == 200
    except (http.client.HTTPException, OSError):
        pass  # nothing, or TLS
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=LIMIT_S, context=unverified)
    try:
        connection.connect()
    except ssl.SSLError as exc:
        return "ALERT" in str(exc.reason)  # TLS 1.2 asks for a certificate before the handshake is over
    except OSError:
        return False
    try:
        return _status(connection) == 200
    except (ssl.SSLError, ConnectionError):
        return True  # TLS 1.3 asks for it afterwards
    except (http.client.HTTPException, OSError):
        return False


def _status(connection: http.client.HTTPConnection) -> int:
    try:
        connection.request("GET", "/-/healthy")
        return connection.getresponse().status
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_healthy(int(sys.argv[1]) if len(sys.argv) > 1 else PORT) else 1)
