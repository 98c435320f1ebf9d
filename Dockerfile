# The gateway, and nothing else: one static binary, run by a user that is nobody.
# docs/deploy.md says how it is run.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# What `recoup version` says; without it, (devel).
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.stamped=${VERSION}" -o /rootfs/recoup ./cmd/recoup
# A named volume takes over owner and mode of the directory that it is mounted on.
RUN install -d -m 0700 /rootfs/var/lib/recoup \
 && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/ca-certificates.crt

# Scratch, not distroless: the binary needs certificates, which are copied, and
# neither a user database nor time zones. So there is no base image to keep patched.
FROM scratch
LABEL org.opencontainers.image.title="Recoup" \
      org.opencontainers.image.description="A gateway between agents and LLM providers that lets no paid token go to waste" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /rootfs/etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /rootfs/var/lib /var/lib
COPY --from=build /rootfs/recoup /recoup
# The number is for Kubernetes, whose runAsNonRoot knows no names.
USER 65532:65532
# All addresses of the container; which of them anyone reaches, its network says. The
# admin plane then asks for a token: docs/deploy.md.
ENV RECOUP_LISTEN=0.0.0.0:8484 \
    RECOUP_ADMIN_LISTEN=0.0.0.0:8485 \
    RECOUP_DATA_DIR=/var/lib/recoup
VOLUME ["/var/lib/recoup"]
EXPOSE 8484 8485
# An answer is waited for on SIGTERM, drain_timeout at most.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/recoup", "ready"]
ENTRYPOINT ["/recoup"]
CMD ["serve"]
