# The images of the container tests where none can be pulled: static programs that were
# built outside. Context: a folder with them. The image of Osiris is the last stage of
# deployments/Dockerfile.
FROM scratch AS nats
COPY nats-server /nats-server
ENTRYPOINT ["/nats-server"]

FROM scratch AS model
COPY mockmodel /mockmodel
USER 65532:65532
ENTRYPOINT ["/mockmodel"]

FROM scratch AS osiris
COPY bin/ /usr/local/bin/
ENV PATH=/usr/local/bin
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 \
  CMD ["frontend", "--healthcheck"]
CMD ["osiris", "up"]
