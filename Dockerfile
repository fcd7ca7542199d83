# Two images of one build: `--target exporter` (the default) and `--target locust` for the load workers.
#   docker build -t astrometer .
#   docker build -t astrometer-locust --target locust .
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
# Where a library has no wheel (hdrhistogram on arm64) it is compiled.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/astrometer
ENV PATH=/opt/astrometer/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The libraries first: they change seldom. Every one is pinned with its hash.
COPY requirements/run.txt requirements/run.txt
RUN pip install --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY locustfiles locustfiles
COPY probes probes
RUN pip install --no-deps . && python -m compileall -q /opt/astrometer/lib

FROM python:3.12-slim-bookworm AS base
RUN useradd --uid 10001 --user-group --home-dir /var/lib/astrometer --create-home astrometer
COPY --from=build /opt/astrometer /opt/astrometer
COPY --from=build --chown=root:root /src/locustfiles /locustfiles
ENV PATH=/opt/astrometer/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/astrometer

FROM base AS locust
# The Locust operators append --master, --worker and the like to the image's entry point.
ENTRYPOINT ["locust"]
CMD ["-f", "/locustfiles/mixed.py"]

FROM base AS exporter
# Budgets and the journal of what has to be cleaned up; mount a volume there.
ENV STATE_DIRECTORY=/var/lib/astrometer
EXPOSE 16185
# With TLS (--web-config) and without.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD \
  ["python", "-m", "astrometer.probing.exporter.healthcheck"]
ENTRYPOINT ["astrometer"]
CMD ["probe", "--config", "/etc/astrometer/astrometer.toml", "--listen", "0.0.0.0:16185"]
