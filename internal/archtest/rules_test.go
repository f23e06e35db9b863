package archtest

// module is the path that every package of the project begins with.
const module = "github.com/osiris/osiris"

// layer says what one package, or a tree of them, may import from this module. Paths
// are relative to the module; "x/..." means x and everything below it.
type layer struct {
	packages string
	may      []string
	why      string
}

// layers is the import table. The first entry that matches a package decides. Tests
// are free to import more, for they put parts together that never meet in production.
func layers() []layer {
	return []layer{
		{"pkg/protocol/...", nil, "the wire is plain values: whoever speaks it needs nothing else of Osiris"},
		{"pkg/jobs/internal/...", []string{"pkg/jobs/internal/..."}, "what the queue shares with its tests knows nothing above it"},
		{"pkg/jobs/jobstest/...", []string{"pkg/jobs", "pkg/jobs/internal/..."}, "it starts brokers for tests and connects to them"},
		{"pkg/jobs/...", []string{"pkg/protocol", "pkg/jobs/internal/..."}, "the queue carries requests and events, whoever makes them"},

		{"internal/config/...", nil, "a configuration is a value: those who use it import it, never the other way round"},
		{"internal/embedded/...", nil, "the embedded server is a NATS like any other and knows nothing of jobs"},
		{"internal/socket/...", nil, "a connection knows nothing of what is said on it"},
		{"internal/frontend/...", []string{"internal/socket", "pkg/jobs", "pkg/protocol"}, "a frontend knows no provider and no worker: they scale and ship apart"},
		{"internal/batch", []string{"pkg/jobs", "pkg/protocol"}, "it drives batches over the queue alone, and knows neither HTTP nor models"},
		{"internal/webhook/...", []string{"pkg/jobs"}, "it posts what the queue hands it, and knows nothing of who serves requests"},
		{
			"internal/worker/...",
			[]string{"internal/provider", "pkg/jobs", "pkg/protocol"},
			"a worker knows no adapter: it is handed providers by name",
		},
		{"internal/provider", []string{"pkg/protocol"}, "the seam between workers and models knows neither side"},
		{
			"internal/provider/upstream/http1/...", []string{"internal/socket"},
			"a client of HTTP knows nothing of what it is used for",
		},
		{
			"internal/provider/upstream/...",
			[]string{"internal/provider", "internal/provider/upstream/http1", "pkg/protocol"},
			"what all HTTP adapters share is below every one of them",
		},
		{
			"internal/provider/...",
			[]string{"internal/provider", "internal/provider/upstream", "pkg/protocol"},
			"an adapter runs without a queue, an HTTP framework and the other adapters",
		},
		{"internal/archtest/...", nil, "it reads the others from outside"},
		{
			"internal/service/frontendpart", []string{"internal/config", "internal/frontend", "internal/service", "pkg/jobs"},
			"the frontend as a part of a program",
		},
		{
			"internal/service/batchpart", []string{"internal/batch", "internal/config", "internal/service", "pkg/jobs"},
			"the driver of batches as a part of a program",
		},
		{
			"internal/service/webhookpart", []string{"internal/config", "internal/service", "internal/webhook"},
			"deliveries to webhooks as a part of a program",
		},
		{
			"internal/service/workerpart", []string{"internal/config", "internal/provider/...", "internal/service", "internal/worker"},
			"the worker as a part of a program, the one place that knows all adapters",
		},
		{
			"internal/service/local", []string{"internal/config", "internal/embedded", "internal/service", "pkg/jobs"},
			"a NATS inside the program",
		},
		{"internal/service", []string{"internal/config", "internal/socket", "pkg/jobs"}, "what all programs share knows no part of them"},

		{"internal/bench/mockmodel", []string{"internal/bench/answer", "internal/socket"}, "a model server of its own: what stands before it is what is measured"},
		{
			"internal/bench/load", []string{"internal/bench/answer", "internal/bench/histogram", "internal/client", "internal/socket"},
			"it measures any server, and so shares no HTTP with this one; batches take the command line's client",
		},
		{"internal/bench", []string{"internal/bench/load", "internal/bench/proc"}, "it starts programs and loads them, whatever they are"},
		{"internal/bench/...", nil, "each part of the measuring is of use alone"},
		{"internal/e2e/...", nil, "tests alone: they see the system from outside, or put programs together"},
		{"bench/...", nil, "tests alone: they measure programs as others run them"},
		{"integration/mockmodel/...", nil, "a model server of its own, built as a container"},
		{"integration/...", []string{"pkg/protocol"}, "it sees the system from outside, through its ports"},

		{"internal/client/...", []string{"pkg/protocol"}, "the command line speaks to any server of the API and knows no queue"},
		{"internal/batchfile/...", []string{"pkg/protocol"}, "a batch's file is checked by the rules of the wire, without a server"},
		{"internal/progress/...", nil, "a progress bar knows numbers and a terminal"},

		{
			"cmd/...", []string{"internal/batchfile", "internal/bench/...", "internal/client", "internal/config", "internal/progress", "internal/service/...", "internal/webhook", "pkg/jobs", "pkg/protocol"},
			"flags, wiring, what people read, and exit codes, nothing else",
		},
	}
}

// owner says that only some packages may import an outside one. Tests count too,
// except where tests says otherwise.
type owner struct {
	imports string   // path prefix of the outside package
	only    []string // relative to the module, as in layer
	tests   []string // those that may import it in their tests as well
	why     string
}

func owners() []owner {
	return []owner{
		{
			"github.com/nats-io/nats.go", []string{"pkg/jobs/..."}, []string{"internal/embedded", "internal/e2e"},
			"subjects, leases and acknowledgements are decided in one package",
		},
		{
			"github.com/nats-io/nats-server", []string{"internal/embedded", "pkg/jobs/internal/..."}, []string{"pkg/jobs", "pkg/jobs/jobstest"},
			"a server runs inside osiris up and inside tests of the queue, nowhere else",
		},
		{
			"github.com/gofiber/fiber", []string{"internal/frontend"}, nil,
			"the HTTP framework can be replaced by changing one package",
		},
		{
			"github.com/valyala/fasthttp", []string{"internal/frontend"}, nil,
			"as fiber, which it is the ground of",
		},
		{
			"github.com/testcontainers", []string{"integration/..."}, nil,
			"containers are for tests of the whole system",
		},
		{
			"github.com/alecthomas/kong", []string{"cmd/...", "internal/service"}, nil,
			"libraries take values, programs take flags",
		},
		{
			"github.com/goccy/go-yaml", []string{"internal/config"}, nil,
			"there is one configuration file and one reader of it",
		},
	}
}

// forbidden is what a package or a program must not reach, not even through others.
type forbidden struct {
	from   string // a package relative to the module
	reach  string // prefix of what it must not link; it must exist
	reason string
}

func unreachable() []forbidden {
	return []forbidden{
		{"cmd/frontend", module + "/internal/provider", "a frontend ships without what talks to models"},
		{"cmd/frontend", module + "/internal/worker", "frontends and workers scale and ship apart"},
		{"cmd/frontend", "github.com/nats-io/nats-server", "only osiris up runs a NATS"},
		{"cmd/worker", module + "/internal/frontend", "frontends and workers scale and ship apart"},
		{"cmd/worker", "github.com/gofiber/fiber", "a worker serves no API"},
		{"cmd/worker", "github.com/valyala/fasthttp", "as fiber, which it is the ground of"},
		{"cmd/worker", "github.com/nats-io/nats-server", "only osiris up runs a NATS"},
		{"pkg/protocol", "os/exec", "the wire does no I/O"},
		{"pkg/protocol", "github.com/nats-io", "the wire knows no broker"},
		{"pkg/jobs", "github.com/gofiber/fiber", "the queue knows no HTTP framework"},
		{"pkg/jobs", module + "/internal", "what others may import must not need what they cannot"},
		{"internal/frontend", module + "/internal/provider", "a frontend knows no provider, not even indirectly"},
		{"internal/frontend", module + "/internal/worker", "frontends and workers meet only in the queue"},
		{"internal/worker", "github.com/gofiber/fiber", "a worker knows no HTTP framework"},
		{"internal/worker", module + "/internal/frontend", "frontends and workers meet only in the queue"},
		{"internal/worker", module + "/internal/provider/openai", "adapters are handed to the worker"},
		{"internal/worker", module + "/internal/provider/anthropic", "adapters are handed to the worker"},
		{"internal/provider/openai", "github.com/nats-io", "an adapter runs without a broker"},
		{"internal/provider/anthropic", "github.com/nats-io", "an adapter runs without a broker"},
		{"internal/provider/echo", "github.com/nats-io", "an adapter runs without a broker"},
	}
}
