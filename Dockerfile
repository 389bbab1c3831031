# The image of all functions: the service's FUNCTION_TARGET and FUNCTION_SOURCE say which one it is.
#
#   docker build --build-arg SESSION_IMAGE=REGISTRY/gam-session@sha256:... -t functions .
#
# The base image is named by its digest; docs/deploy.md says how to take another one.

FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all:

# An environment that builds our own package, and one without pip in it that runs.
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --quiet --require-hashes --no-deps -r requirements-build.lock \
    && python -m venv --without-pip /opt/venv \
    && /opt/build/bin/pip --python /opt/venv/bin/python install --quiet --require-hashes --no-deps -r requirements.lock

COPY pyproject.toml ./
COPY shared ./shared
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && /opt/build/bin/pip --python /opt/venv/bin/python install --quiet --no-deps --no-index /wheels/*.whl

# Without server/, which serves them all in one process: on Cloud Run each function runs alone.
COPY functions /app/functions
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib /app/functions


FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

# Nothing that installs is left.
RUN python -m pip uninstall --quiet --yes --root-user-action=ignore pip setuptools wheel

COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app

# The session image that belongs to this build: both are rolled back as one.
ARG SESSION_IMAGE=""

# MALLOC_*: glibc otherwise gives large buffers back and takes them again with every frame, which
# costs a third of the CPU time of large inputs.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_TRIM_THRESHOLD_=67108864 \
    MALLOC_MMAP_THRESHOLD_=33554432 \
    SESSION_IMAGE=$SESSION_IMAGE

USER 65532:65532
EXPOSE 8080
CMD ["python", "-m", "shared.app.serve"]
