// Package integration runs the whole system in containers: NATS, two frontends, three
// workers and a model server that says what it has open. Its tests send real requests
// and check every answer, also while a worker is killed.
//
// The tests are skipped, saying so, unless CI=true, as make integration sets it; then a
// missing container engine is a failure. Images are built from the repository's Dockerfiles, or named:
//
//	OSIRIS_TEST_IMAGE         the three programs         (deployments/Dockerfile)
//	OSIRIS_TEST_MODEL_IMAGE   the model server           (integration/mockmodel/Dockerfile)
//	OSIRIS_TEST_NATS_IMAGE    NATS 2.12 or newer         (nats:2.15.2-alpine)
package integration
