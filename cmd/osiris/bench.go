package main

import "time"

// benchCmds are osiris bench and what it is made of.
type benchCmds struct {
	Run   benchRun   `cmd:"" default:"withargs" help:"Put a load on a system and measure it; osiris bench alone means this."`
	Model benchModel `cmd:"" help:"A simulated model, as an OpenAI-compatible server."`
	Floor benchFloor `cmd:"" help:"A bare reverse proxy before a model: the yardstick of gateways."`
	Part  benchPart  `cmd:"" help:"A part of a measured system; osiris bench starts it." hidden:""`
}

// benchRun is osiris bench.
type benchRun struct {
	URL     string   `group:"Whom to measure" help:"Base URL, with its /v1, of any OpenAI-compatible server. Without it: Osiris and a simulated model, started for it." placeholder:"URL"`
	Key     string   `group:"Whom to measure" help:"API key for it (OSIRIS_API_KEY)." placeholder:"KEY"`
	Model   string   `group:"Whom to measure" help:"Model to ask (OSIRIS_MODEL, bench)." placeholder:"NAME"`
	Header  []string `group:"Whom to measure" help:"Further header line, such as 'X-Team: blue'." placeholder:"LINE" sep:"none"`
	PID     []int    `name:"pid" group:"Whom to measure" help:"Processes whose CPU and memory are measured, with those that they started." placeholder:"N"`
	Process []string `group:"Whom to measure" help:"The same by the name of their program, such as vllm, or the beginning of their command, such as 'osiris up'." placeholder:"NAME"`

	Apart       bool          `group:"What osiris bench starts" help:"NATS, frontend and worker as three processes instead of one."`
	Floor       bool          `group:"What osiris bench starts" help:"A bare reverse proxy, too, and how Osiris compares with it."`
	Systems     []string      `group:"What osiris bench starts" help:"Choose yourself: direct (the model alone), floor, up, apart." placeholder:"NAME"`
	Scenario    string        `group:"What osiris bench starts" help:"S1 to S6, kept, batch, with commas; all of S1 to S6 if no load is described." placeholder:"NAMES"`
	Repetitions int           `group:"What osiris bench starts" help:"How often each system is measured, in turns." default:"3" placeholder:"N"`
	Patience    time.Duration `group:"What osiris bench starts" help:"Wait so long for a quiet machine before each measurement." placeholder:"TIME"`
	Stretch     float64       `group:"What osiris bench starts" help:"Multiply the times of scenarios." default:"1" placeholder:"X"`

	benchLoad `embed:"" group:"The load"`

	JSON bool `name:"json" help:"Write everything measured as JSON."`
}

// benchLoad describes a load.
type benchLoad struct {
	Kind        string        `help:"plain (one JSON answer), stream, kept (background, then read by id), batch." placeholder:"KIND"`
	Concurrency int           `help:"Requests under way, always (64); with --rate at most (20000)." short:"c" placeholder:"N"`
	Rate        float64       `help:"Begin so many requests per second, whether others have ended or not; times count from when each was due." placeholder:"R"`
	Burst       int           `help:"Begin so many at once, at the same rate on average." placeholder:"N"`
	Duration    time.Duration `help:"Begin requests for so long (10s)." short:"d" placeholder:"TIME"`
	Requests    int64         `help:"Begin so many." short:"n" placeholder:"N"`
	Warmup      time.Duration `help:"Do not measure this first part of the duration." placeholder:"TIME"`
	Ramp        time.Duration `help:"Reach the concurrency, or the rate, evenly in this time." placeholder:"TIME"`
	Timeout     time.Duration `help:"Of a request (1m), of a batch (1h)." placeholder:"TIME"`
	Prompt      int           `name:"prompt-bytes" help:"Size of the user's message (256)." placeholder:"N"`
	Store       bool          `help:"Have the server keep each completion."`
	Usage       bool          `help:"Ask streams for their usage."`
	Verify      string        `help:"model (byte by byte what a simulated model says), echo (the prompt comes back), shape (role, text, finish reason, end, usage), off. By itself: model for model bench, echo for model echo, else shape." placeholder:"HOW"`
	Coalesce    bool          `help:"The right text may come in other chunks than the model's."`

	modelTimes `embed:""`
}

// modelTimes are how fast a simulated model is, and how much it says.
type modelTimes struct {
	Tokens     int           `help:"Tokens of an answer, each a chunk (64)." placeholder:"N"`
	ChunkBytes int           `help:"Bytes of a token (9)." placeholder:"N"`
	FirstToken time.Duration `name:"ttft" help:"Time to the first token of the simulated model." placeholder:"TIME"`
	Gap        time.Duration `name:"itl" help:"Time between its tokens." placeholder:"TIME"`
	Jitter     float64       `help:"Make each of these times up to this share shorter or longer." placeholder:"SHARE"`
}

// Help is shown by osiris bench --help.
func (*benchCmds) Help() string {
	return "The flags of osiris bench are those of osiris bench run: see osiris bench run --help.\n\n" + benchHelp
}

// Help is shown by osiris bench run --help.
func (*benchRun) Help() string { return benchHelp }

const benchHelp = `Every answer is checked; a wrong one counts as failed, by what is wrong with it. CPU and memory are measured on Linux alone.

What docs/performance.md shows, a quarter of an hour:

  osiris bench --floor
  osiris bench --floor --apart

One scenario, in a minute; one load of your own on an Osiris started for it:

  osiris bench --floor --scenario S3 --repetitions 1
  osiris bench --kind stream -c 500 -d 20s --ttft 200ms --itl 20ms
  osiris bench --kind kept --rate 200 --burst 50 -d 30s

Another server, with its own model or a simulated one behind it:

  osiris bench --url http://127.0.0.1:8000/v1 --model qwen3 --kind stream -c 32 -d 1m --process vllm
  osiris bench model --listen 127.0.0.1:9000 --ttft 50ms --itl 10ms &
  osiris bench --url http://127.0.0.1:4000/v1 --key sk-1234 --model bench --kind stream -c 200 --pid 4711

The exit code is 0 when every answer was right, 1 when one was not or nothing could be measured, 2 for a faulty command.`
