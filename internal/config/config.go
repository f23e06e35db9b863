package config

import (
	"strings"
	"time"
)

// Config is what a program runs with. Load fills it; nothing changes it afterwards.
//
// Tags: yaml is the name in the file, default the value when nothing is set, help
// the line in docs/configuration.md, check, enum, min and max what Load verifies,
// and restart:"yes" says that a change of a running program waits for a restart.
type Config struct {
	Namespace   string              `yaml:"namespace" default:"osiris" check:"name" restart:"yes" help:"First token of every name and subject in NATS, so that two installations can share one."`
	DataDir     string              `yaml:"data_dir" default:"" restart:"yes" help:"Folder of the embedded NATS (osiris up). Empty: osiris in the user's data folder."`
	Listen      string              `yaml:"listen" default:"127.0.0.1:8080" check:"listen" restart:"yes" help:"Address of the API."`
	AdminListen string              `yaml:"admin_listen" default:"127.0.0.1:8081" check:"listen" restart:"yes" help:"Address of /livez, /readyz, /metrics and /debug/pprof. If it was not set and is taken, any free port is used; off switches it off."`
	Echo        bool                `yaml:"echo" default:"true" help:"Serve the built-in model echo; it is listed only while nothing else is configured."`
	Log         Log                 `yaml:"log"`
	NATS        NATS                `yaml:"nats" restart:"yes"`
	Embedded    Embedded            `yaml:"embedded" restart:"yes"`
	Queue       Queue               `yaml:"queue" restart:"yes"`
	Keep        Keep                `yaml:"keep" restart:"yes"`
	Frontend    Frontend            `yaml:"frontend"`
	Files       Files               `yaml:"files"`
	Worker      Worker              `yaml:"worker"`
	Batches     Batches             `yaml:"batches"`
	Webhooks    Webhooks            `yaml:"webhooks" restart:"yes"`
	Providers   map[string]Provider `yaml:"providers" key:"name"`
	Models      map[string]Model    `yaml:"models" key:"model"`

	// BootstrapKey is OSIRIS_BOOTSTRAP_KEY: the first API key, created when there is none.
	BootstrapKey Secret `yaml:"-"`
	// Warnings are worth a log line at start and no more.
	Warnings []string `yaml:"-"`
	// File is the file that was read, empty if there was none.
	File string `yaml:"-"`
	// AdminSet tells that AdminListen was chosen by someone.
	AdminSet bool `yaml:"-"`

	seen stamp `yaml:"-"` // of File, from before it was read
}

// Log says what is written to standard error, and how.
type Log struct {
	Level  string `yaml:"level" default:"info" enum:"debug|info|warn|error" help:"Least level that is written."`
	Format string `yaml:"format" default:"text" enum:"text|json" restart:"yes" help:"Shape of a log line."`
}

// NATS is how to reach the broker. osiris up without a URL runs its own.
type NATS struct {
	URL         URL    `yaml:"url" default:"" check:"nats" help:"Server or servers, comma separated, such as nats://a:4222,nats://b:4222. Empty: osiris up runs one itself; the other programs use nats://127.0.0.1:4222."`
	Credentials string `yaml:"credentials" default:"" check:"file" help:"File with a user's JWT and seed (.creds)."`
	NKey        string `yaml:"nkey" default:"" check:"file" help:"File with an NKey seed."`
	User        string `yaml:"user" default:"" help:"User name."`
	Password    Secret `yaml:"password" default:"" help:"Password of the user."`
	Token       Secret `yaml:"token" default:"" help:"Token, where the server asks for one."`
	TLS         TLS    `yaml:"tls"`
	Domain      string `yaml:"domain" default:"" check:"name" help:"JetStream domain."`
	Replicas    int    `yaml:"replicas" default:"0" min:"0" max:"5" help:"Copies of every stream. 0: three on a cluster of three or more, else one."`
	LocalEvents bool   `yaml:"local_events" default:"true" help:"Let events take a Unix socket instead of NATS between a frontend and a worker of one user on one machine, which costs less (Linux). False: they can be seen with nats sub."`
}

// TLS are the files of a secured connection to NATS. Certificates are always verified.
type TLS struct {
	CA   string `yaml:"ca" default:"" check:"file" help:"PEM file of authorities to trust instead of the system's."`
	Cert string `yaml:"cert" default:"" check:"file" help:"PEM file of the client's certificate."`
	Key  string `yaml:"key" default:"" check:"file" help:"PEM file of the client's key."`
}

// Embedded is the NATS server inside osiris up.
type Embedded struct {
	Listen     string `yaml:"listen" default:"127.0.0.1:0" check:"listen" help:"Address for other programs of this machine; the address and its token are in connection.json in the data folder. Port 0: any free one. off: no listener."`
	Sync       string `yaml:"sync" default:"1s" check:"sync" help:"How often the store is flushed to disk: what a power failure can lose. always flushes before every acknowledgement, at some 500 jobs a second."`
	MaxStore   Size   `yaml:"max_store" default:"50GB" min:"67108864" help:"Most disk the store may use. Nothing is taken before it is needed."`
	MaxMemory  Size   `yaml:"max_memory" default:"256MB" min:"16777216" help:"Most memory for streams kept in memory."`
	MaxPayload Size   `yaml:"max_payload" default:"4MiB" min:"1048576" max:"67108864" help:"Largest message. Larger request bodies travel by reference."`
}

// Queue bounds what waits. It is the same for every program of an installation.
type Queue struct {
	MaxJobs  int64         `yaml:"max_jobs" default:"100000" min:"1" help:"Most jobs of a class that may wait or run in all pools together: the last wall behind frontend.max_waiting."`
	MaxBytes Size          `yaml:"max_bytes" default:"1GiB" min:"67108864" help:"Most bytes of jobs of a class. The store of an embedded NATS must hold three classes, keep.events_bytes and 3GiB."`
	Lease    time.Duration `yaml:"lease" default:"30s" min:"5s" max:"10m" help:"How long a silent worker keeps a job. A worker that died is noticed within seconds; this is the backstop."`
}

// Keep says how long what outlives a request can be read. It is the same for every
// program of an installation.
type Keep struct {
	Results     time.Duration `yaml:"results" default:"720h" min:"24h" help:"How long stored completions and the results of batches can be read."`
	Events      time.Duration `yaml:"events" default:"1h" min:"1m" help:"How long the events of a stored stream can be replayed; afterwards its completion is all there is."`
	EventsBytes Size          `yaml:"events_bytes" default:"1GiB" min:"16777216" help:"Most bytes of events of stored streams; beyond it the oldest go."`
}

// Frontend is HTTP.
type Frontend struct {
	MaxBody           Size          `yaml:"max_body" default:"64MB" min:"1024" max:"1073741824" help:"Largest request body, inflated; beyond it 413."`
	MaxBodies         Size          `yaml:"max_bodies" default:"256MB" min:"1048576" help:"Most bytes of large request bodies in memory at a time, all requests together, until each is in the queue; beyond it 503 and Retry-After. A server needs up to twice as much memory for them. At least max_body counts."`
	MaxWaiting        int64         `yaml:"max_waiting" default:"10000" min:"1" restart:"yes" help:"Jobs that may wait in a class of a pool; beyond it requests are answered with 503 and Retry-After."`
	RequestTimeout    time.Duration `yaml:"request_timeout" default:"10m" min:"1s" help:"Longest life of a request."`
	BackgroundTimeout time.Duration `yaml:"background_timeout" default:"24h" min:"1s" help:"Longest life of a background request, waiting included; not above keep.results."`
	HoldBack          time.Duration `yaml:"hold_back" default:"5s" min:"1ms" help:"How long a stream's HTTP status waits for the first event."`
	KeepAlive         time.Duration `yaml:"keep_alive" default:"15s" min:"1s" help:"Pause in a stream after which a comment keeps the connection open."`
	WriteStall        time.Duration `yaml:"write_stall" default:"30s" min:"1s" help:"How long a client may take nothing before its stream is cut."`
	ShutdownGrace     time.Duration `yaml:"shutdown_grace" default:"30s" min:"0s" help:"How long open requests may go on after SIGTERM."`
	AllowAnonymous    bool          `yaml:"allow_anonymous" default:"false" help:"Serve requests without a key, as tenant anonymous; beyond this machine too. A key that is sent is checked all the same."`
}

// Files bounds what clients upload.
type Files struct {
	MaxSize     Size `yaml:"max_size" default:"512MB" min:"1024" max:"8000000000" help:"Largest file that may be uploaded; beyond it 413. The input of a batch has at most 200 MiB in any case."`
	TenantBytes Size `yaml:"tenant_bytes" default:"10GB" min:"1024" help:"Most bytes that all files of a tenant may have together, output files of batches not refused but counted; beyond it 429."`
}

// Worker is one worker process.
type Worker struct {
	Pool          string        `yaml:"pool" default:"default" check:"name" help:"Pool this worker belongs to. All workers of a pool serve the same models."`
	Slots         int           `yaml:"slots" default:"4096" min:"1" max:"1000000" help:"Jobs this worker runs at once."`
	Reserved      int           `yaml:"reserved" default:"0" min:"0" help:"Slots kept free for interactive jobs. 0: an eighth of the slots."`
	Breaker       Breaker       `yaml:"breaker"`
	ShutdownGrace time.Duration `yaml:"shutdown_grace" default:"30s" min:"0s" help:"How long running jobs may go on after SIGTERM before they are handed to other workers."`
}

// Batches is how frontends run batches.
type Batches struct {
	Windows      string        `yaml:"windows" default:"24h" check:"windows" help:"Completion windows that batches may ask for, comma separated: numbers of m, h or d, such as 24h,7d. An hour and batches.drain more than each must pass before keep.results is over."`
	MixedModels  bool          `yaml:"mixed_models" default:"false" restart:"yes" help:"Let the lines of a batch ask for different models."`
	LinesInQueue int           `yaml:"lines_in_queue" default:"2000" min:"1" max:"100000" restart:"yes" help:"Most lines of batches that one frontend keeps in the queue of a pool. It keeps twice as many as the pool runs, 200 at least, so that slots never wait and autoscalers see what does."`
	Running      int           `yaml:"running" default:"64" min:"1" max:"10000" restart:"yes" help:"Batches that one frontend drives at once, at one to three MB each; further ones wait."`
	Drain        time.Duration `yaml:"drain" default:"10m" min:"0s" restart:"yes" help:"How long the running lines of a cancelled batch may take to end."`
}

// WindowList returns the windows one by one.
func (b Batches) WindowList() []string {
	var all []string
	for w := range strings.SplitSeq(b.Windows, ",") {
		all = append(all, strings.TrimSpace(w))
	}
	return all
}

// LongestWindow returns the longest of them.
func (b Batches) LongestWindow() (longest time.Duration) {
	for _, w := range b.WindowList() {
		longest = max(longest, window(w))
	}
	return longest
}

// Webhooks is how frontends deliver events to the addresses of tenants.
type Webhooks struct {
	AllowPrivate bool          `yaml:"allow_private" default:"false" help:"Deliver webhooks to addresses inside private networks too, and by http."`
	Timeout      time.Duration `yaml:"timeout" default:"15s" min:"1s" max:"5m" help:"How long a receiver may take to answer a delivery."`
	Concurrency  int           `yaml:"concurrency" default:"128" min:"1" max:"4096" help:"Deliveries at once from one frontend. One endpoint takes a sixteenth of it at most, one tenant a quarter."`
}

// Provider is a model server.
type Provider struct {
	Kind            string            `yaml:"kind" default:"" enum:"openai|anthropic|echo" required:"yes" help:"Protocol of the server: openai for every compatible one."`
	BaseURL         URL               `yaml:"base_url" default:"" check:"url" help:"Where the API begins. Empty: the vendor's own."`
	Key             Secret            `yaml:"key" default:"" help:"API key, best as ${NAME}."`
	KeyEnv          string            `yaml:"key_env" default:"" check:"variable" help:"Variable that holds the API key; instead of key."`
	KeyHeader       string            `yaml:"key_header" default:"" check:"header" help:"Header that carries the key, such as api-key. Empty: as the kind of server has it."`
	Headers         map[string]Secret `yaml:"headers" key:"header" help:"More headers for every call."`
	Query           map[string]Secret `yaml:"query" help:"More query parameters for every call, such as api-version."`
	Path            string            `yaml:"path" default:"" help:"Path of a completion below base_url; {model} stands for the model (openai). Empty: /chat/completions."`
	ModelsPath      string            `yaml:"models_path" default:"" help:"Path of the model list below base_url (openai). Empty: /models."`
	TokensField     string            `yaml:"tokens_field" default:"" enum:"|max_tokens|max_completion_tokens" help:"The only one of the two that the server knows; the other is renamed to it (openai). Empty: both go as they came."`
	NoDeveloper     bool              `yaml:"no_developer" default:"false" help:"Send messages of the role developer as system (openai)."`
	NoStreamOptions bool              `yaml:"no_stream_options" default:"false" help:"For servers that refuse stream_options: usage of streams is not asked for (openai)."`
	KeepStore       bool              `yaml:"keep_store" default:"false" help:"Send store and metadata on instead of keeping them to Osiris (openai)."`
	OmitThinking    bool              `yaml:"omit_thinking" default:"false" help:"Keep the model's thinking out of answers (anthropic)."`
	StreamAlways    bool              `yaml:"stream_always" default:"false" help:"Call streaming even for a JSON answer: for servers behind proxies that cut silent connections."`
	Concurrency     int               `yaml:"concurrency" default:"0" min:"0" help:"Most calls at once from one worker. 0: no limit."`
	Pool            string            `yaml:"pool" default:"" check:"name" help:"Pool whose workers offer this server's models. Empty: every pool."`
	Timeouts        Timeouts          `yaml:"timeouts"`
	Retries         Retries           `yaml:"retries"`
	Discover        Discover          `yaml:"discover"`
}

// Timeouts bound the phases of a call. Zero means no limit.
type Timeouts struct {
	Connect    time.Duration `yaml:"connect" default:"10s" min:"0s" help:"Dial, TLS and sending the request."`
	FirstToken time.Duration `yaml:"first_token" default:"5m" min:"0s" help:"From there to the first payload. A JSON answer, which comes whole, has total alone."`
	Idle       time.Duration `yaml:"idle" default:"2m" min:"0s" help:"Between payloads of a stream; comments and pings do not count."`
	Total      time.Duration `yaml:"total" default:"10m" min:"0s" help:"The whole call."`
}

// Discover is how a server's model list reaches the catalogue.
type Discover struct {
	Enabled bool          `yaml:"enabled" default:"true" help:"Ask the server for its models and serve them; PROVIDER/NAME routes to any other name."`
	Refresh time.Duration `yaml:"refresh" default:"5m" min:"1s" help:"How often to ask again. While the server is away the last list stays."`
}

// Model is a name that clients use and where its requests go.
type Model struct {
	Pool         string       `yaml:"pool" default:"" check:"name" help:"Pool whose workers serve it. Empty: every pool."`
	OwnedBy      string       `yaml:"owned_by" default:"" help:"Shown in /v1/models. Empty: the provider's name."`
	MaxTokens    int          `yaml:"max_tokens" default:"0" min:"0" help:"Default of max_tokens for requests that set none. 0: the server's own."`
	Targets      []Target     `yaml:"targets" required:"yes" help:"Where requests go, in order: the next one when one fails before its first token."`
	Retries      Retries      `yaml:"retries"`
	Capabilities Capabilities `yaml:"capabilities"`
}

// Target is one server that can answer for a model. What is unset is the provider's.
type Target struct {
	Provider     string         `yaml:"provider" required:"yes" help:"Name of an entry of providers."`
	Model        string         `yaml:"model" default:"" help:"The server's name for the model. Empty: the model's own."`
	BaseURL      URL            `yaml:"base_url" default:"" check:"url" help:"Instead of the provider's. Key, headers and query of the provider are not sent to another host."`
	Key          Secret         `yaml:"key" default:"" help:"Instead of the provider's."`
	KeyEnv       string         `yaml:"key_env" default:"" check:"variable" help:"Instead of the provider's."`
	Weight       int            `yaml:"weight" default:"0" min:"0" max:"1000000" help:"Share of requests among neighbours that have weights too. A target without weight is a plain fallback for those above it."`
	Concurrency  int            `yaml:"concurrency" default:"0" min:"0" help:"Most calls at once from one worker, within the provider's own limit. 0: no limit but that."`
	StreamAlways *bool          `yaml:"stream_always" help:"Unset: the provider's."`
	Timeouts     TargetTimeouts `yaml:"timeouts"`
}

// TargetTimeouts replace those of the provider one by one.
type TargetTimeouts struct {
	Connect    time.Duration `yaml:"connect" default:"0s" min:"0s" help:"0: the provider's."`
	FirstToken time.Duration `yaml:"first_token" default:"0s" min:"0s" help:"0: the provider's."`
	Idle       time.Duration `yaml:"idle" default:"0s" min:"0s" help:"0: the provider's."`
	Total      time.Duration `yaml:"total" default:"0s" min:"0s" help:"0: the provider's."`
}

// Retries are attempts on one target before the next one. What a model leaves at 0
// is its target's provider's, what the provider leaves at 0 the value in the help.
type Retries struct {
	Attempts int           `yaml:"attempts" default:"0" min:"0" max:"20" help:"Calls of one target, the first included. 0: the provider's, else 3."`
	Base     time.Duration `yaml:"base" default:"0s" min:"0s" help:"First pause; it doubles, with jitter. A Retry-After of the server counts more. 0: the provider's, else 500ms."`
	Max      time.Duration `yaml:"max" default:"0s" min:"0s" help:"Longest pause; when the server asks for a longer one, the next target is tried. 0: the provider's, else 15s."`
}

// Breaker leaves a target alone for a while that keeps failing.
type Breaker struct {
	Failures int           `yaml:"failures" default:"5" min:"0" help:"Failures in a row that open it. 0: never."`
	Cooldown time.Duration `yaml:"cooldown" default:"10s" min:"1ms" help:"How long it stays open before one call probes."`
}

// Capabilities is what a model can do, where an adapter cannot know.
type Capabilities struct {
	Sampling         string `yaml:"sampling" default:"" enum:"|full|one|none" help:"temperature and top_p: full, one of both, none. Empty: by the model's name."`
	Thinking         string `yaml:"thinking" default:"" enum:"|budget|adaptive|none" help:"How the model takes thinking. Empty: by the model's name."`
	StructuredOutput *bool  `yaml:"structured_output" help:"Whether it takes a JSON schema. Unset: by the model's name."`
	MaxOutput        int    `yaml:"max_output" default:"0" min:"0" help:"Most tokens it can answer with. 0: by the model's name."`
}
