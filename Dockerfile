# The image holds a static binary and what it reads from a system: CA certificates,
# a user, a home directory and /tmp. Build it with `make image`, or for several
# platforms with
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=v0.1.0 .
#
# The compiler runs on the builder's own platform and cross-compiles. Time zones are
# compiled into the binary (see `make build`).

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev
ARG TARGETOS
ARG TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH make build VERSION=$VERSION
RUN install -D bin/tributary /root-fs/usr/local/bin/tributary \
 && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ca-certificates.crt \
 && echo 'tributary:x:65532:65532::/home/tributary:/sbin/nologin' >/root-fs/etc/passwd \
 && echo 'tributary:x:65532:' >/root-fs/etc/group \
 && install -d -m 1777 /root-fs/tmp \
 && install -d /home/tributary

FROM scratch
COPY --from=build /root-fs /
COPY --from=build --chown=65532:65532 /home /home
LABEL org.opencontainers.image.title="tributary" \
      org.opencontainers.image.description="Feeds Flux: renders a fleet repo and serves each cluster its inputs" \
      org.opencontainers.image.source="https://github.com/tributary-gitops/tributary" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV HOME=/home/tributary
WORKDIR /home/tributary
# Numeric, because Kubernetes cannot check runAsNonRoot against a user name.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/tributary"]
