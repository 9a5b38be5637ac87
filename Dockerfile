# The studio in one container: the same `make run`, with its data in a volume.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 studio \
    && mkdir /studio /data \
    && chown studio:studio /studio /data

USER studio
WORKDIR /studio
COPY --chown=studio:studio Makefile requirements.txt ./
RUN make .venv/.installed
COPY --chown=studio:studio . .

ENV DATA_DIR=/data STUDIO_BIND=0.0.0.0
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD .venv/bin/python -c "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/healthz' % os.environ.get('STUDIO_PORT', 8000))"
CMD ["make", "run"]
