package integration

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	apiKey    = "sk-osiris-integration-0123456789abcdef"
	apiPort   = "8080/tcp"
	adminPort = "8081/tcp"
	modelPort = "9000/tcp"
	natsPort  = "8222/tcp"
)

// system is an installation in containers.
type system struct {
	engine    *testcontainers.DockerProvider
	nats      string   // its monitoring, as http://host:port
	model     string   // as http://host:port
	frontends []string // as http://host:port
	workers   []*testcontainers.DockerContainer
	client    *http.Client
}

// engine returns the container engine, or ends the test: skipped unless CI=true, for it
// pulls and builds images; failed without an engine, where a skip would look like a pass.
func engine(t *testing.T) *testcontainers.DockerProvider {
	t.Helper()
	if os.Getenv("CI") != "true" {
		t.Skip("nothing was tested in containers: that needs a container engine and CI=true, as in: make integration")
	}
	provider, err := dial(t)
	if err != nil {
		t.Fatalf("no container engine, which CI=true demands: %v", err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	return provider
}

// dial finds the engine. The library panics when it finds none.
func dial(t *testing.T) (provider *testcontainers.DockerProvider, err error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	if provider, err = testcontainers.NewDockerProvider(); err != nil {
		return nil, err
	}
	return provider, provider.Health(t.Context())
}

// start brings up two frontends, three workers and what they need.
func start(t *testing.T) *system {
	t.Helper()
	s := &system{engine: engine(t), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	t.Cleanup(s.client.CloseIdleConnections)
	net, err := network.New(t.Context())
	testcontainers.CleanupNetwork(t, net)
	if err != nil {
		t.Fatalf("network: %v", err)
	}
	nats := s.run(t, net, "nats", testcontainers.WithImage(cmp.Or(os.Getenv("OSIRIS_TEST_NATS_IMAGE"), "nats:2.15.2-alpine")),
		testcontainers.WithCmd("-c", "/etc/nats/nats.conf"),
		testcontainers.WithFiles(testcontainers.ContainerFile{
			HostFilePath: "../deployments/nats.conf", ContainerFilePath: "/etc/nats/nats.conf", FileMode: 0o444,
		}),
		ready("/healthz", natsPort))
	s.nats = address(t, nats, natsPort)
	model := s.run(t, net, "model", image("OSIRIS_TEST_MODEL_IMAGE", "integration/mockmodel/Dockerfile"), ready("/stats", modelPort))
	s.model = address(t, model, modelPort)
	osiris := image("OSIRIS_TEST_IMAGE", "deployments/Dockerfile")
	for i := range 3 { // before the frontends, in no particular order with them
		s.workers = append(s.workers, s.run(t, net, fmt.Sprintf("worker-%d", i+1), osiris, testcontainers.WithCmd("worker"),
			testcontainers.WithEnv(map[string]string{"OPENAI_API_KEY": "any", "OPENAI_BASE_URL": "http://model:9000/v1"}),
			settings(), ready("/readyz", adminPort)))
	}
	for i := range 2 {
		frontend := s.run(t, net, fmt.Sprintf("frontend-%d", i+1), osiris, testcontainers.WithCmd("frontend"),
			testcontainers.WithEnv(map[string]string{"OSIRIS_BOOTSTRAP_KEY": apiKey}),
			settings(), ready("/readyz", adminPort, apiPort))
		s.frontends = append(s.frontends, address(t, frontend, apiPort))
	}
	s.awaitModel(t)
	return s
}

// run starts one container, and shows its log if the test fails.
func (s *system) run(t *testing.T, net *testcontainers.DockerNetwork, name string, opts ...testcontainers.ContainerCustomizer) *testcontainers.DockerContainer {
	t.Helper()
	logs := &capture{}
	opts = append(opts, network.WithNetwork([]string{name}, net),
		testcontainers.WithLogConsumers(logs), testcontainers.WithLogger(log.NewNoopLogger()))
	container, err := testcontainers.Run(t.Context(), "", opts...)
	testcontainers.CleanupContainer(t, container)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, logs.String())
		}
	})
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	return container
}

// image names what to run: the tag in a variable, else what a Dockerfile gives.
func image(variable, dockerfile string) testcontainers.CustomizeRequestOption {
	if tag := os.Getenv(variable); tag != "" {
		return testcontainers.WithImage(tag)
	}
	return testcontainers.WithDockerfile(testcontainers.FromDockerfile{
		Context: "..", Dockerfile: dockerfile, BuildLogWriter: os.Stderr, KeepImage: true,
	})
}

// settings are those of every program of Osiris.
func settings() testcontainers.CustomizeRequestOption {
	return testcontainers.WithEnv(map[string]string{
		"OSIRIS_NATS_URL": "nats://nats:4222", "OSIRIS_LISTEN": "0.0.0.0:8080", "OSIRIS_ADMIN_LISTEN": "0.0.0.0:8081",
	})
}

// ready waits until path answers 200 on the first port, and publishes all of them.
func ready(path string, ports ...string) testcontainers.CustomizeRequestOption {
	return func(req *testcontainers.GenericContainerRequest) error {
		req.ExposedPorts = append(req.ExposedPorts, ports...)
		req.WaitingFor = wait.ForHTTP(path).WithPort(ports[0]).WithPollInterval(50 * time.Millisecond).WithStartupTimeout(time.Minute)
		return nil
	}
}

func address(t *testing.T, container *testcontainers.DockerContainer, port string) string {
	t.Helper()
	url, err := container.PortEndpoint(t.Context(), port, "http")
	if err != nil {
		t.Fatalf("port %s: %v", port, err)
	}
	return url
}

// kill ends a container as a crash does: no signal that it could handle.
func (s *system) kill(ctx context.Context, container *testcontainers.DockerContainer) error {
	_, err := s.engine.Client().ContainerKill(ctx, container.GetContainerID(), client.ContainerKillOptions{Signal: "SIGKILL"})
	return err
}
