# VoiceChat in a container: `docker compose up`, or alone with its embedded PostgreSQL:
#
#   docker build -t voicechat .
#   docker run -p 8008:8008 -v voicechat:/data -e VOICECHAT_SERVER_NAME=example.org voicechat
#
# Every setting can be given as VOICECHAT_SECTION__KEY, or mount a file and run: voicechat up --config /config.yaml

FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements.lock .
RUN python -m venv /app/.venv \
    && /app/.venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements.lock

FROM python:3.13-slim
# A number with an entry: PostgreSQL insists on one, and refuses to run as root.
RUN useradd --uid 1000 --create-home --shell /usr/sbin/nologin voicechat \
    && install -d -o voicechat -g voicechat -m 0700 /data
WORKDIR /app
COPY --from=build /app/.venv /app/.venv
COPY config config
COPY voice voice
COPY homeserver homeserver
RUN /app/.venv/bin/python -m compileall -q config voice homeserver

ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    VOICECHAT_DATA_DIR=/data \
    VOICECHAT_LISTENERS="[{bind: 0.0.0.0, port: 8008}]"
USER voicechat
VOLUME /data
# Signalling and chat; media, one port for each voice worker.
EXPOSE 8008 10000-10003/udp 10000-10003/tcp
# Longer than a start that has to replay PostgreSQL's log after a crash.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8008/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "homeserver"]
CMD ["up"]
