package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/osiris/osiris/internal/bench/answer"
)

// Kind is what is asked for.
type Kind string

// The kinds of load.
const (
	Plain  Kind = "plain"  // one JSON answer
	Stream Kind = "stream" // server-sent events
	Kept   Kind = "kept"   // background: true, then its stream read by its id
	Batch  Kind = "batch"  // a file of requests through the Batch API
)

// Verify is how an answer is judged.
type Verify string

// The ways of judging an answer.
const (
	Model Verify = "model" // it is what a simulated model says to this very request, byte by byte
	Echo  Verify = "echo"  // it is the prompt, byte by byte
	Shape Verify = "shape" // it has a role, text, a finish reason, a proper end, and usage where asked for
	Off   Verify = "off"   // it has status 200 and can be read to its end
)

// Config says whom to ask, what, and how often.
type Config struct {
	URL    string // with its /v1
	Key    string // bearer token; may be empty
	Model  string
	Header []string // further header lines, "Name: value"

	Kind     Kind   // Plain
	Store    bool   // store: true
	Usage    bool   // ask a stream for its usage
	Verify   Verify // Model
	Coalesce bool   // the right text may come in other pieces than the model's

	Tokens      int // of an answer; 64
	Size        int // bytes of a token; answer.DefaultSize
	PromptBytes int // of the user's message; 256

	// Concurrency is how many requests are under way: always so many without a Rate, at
	// most so many with one (64, and 20,000).
	Concurrency int
	Rate        float64 // requests begun per second; 0: each when the one before it ended
	Burst       int     // so many of them at once, at the same rate on average; 1

	// The run ends after Requests or Duration, whichever is first; one must be given.
	Requests int64
	Duration time.Duration
	Warmup   time.Duration // requests due in this first part are not measured
	Ramp     time.Duration // until full concurrency, or full rate, from none
	Timeout  time.Duration // of a request; 60 s, of a batch 1 h

	// Dial opens connections; nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const mostUnderWay = 20_000

func (c *Config) setDefaults() {
	if c.Kind == "" {
		c.Kind = Plain
	}
	if c.Verify == "" {
		c.Verify = Model
	}
	c.Tokens, c.Size, c.PromptBytes = orElse(c.Tokens, 64), orElse(c.Size, answer.DefaultSize), orElse(c.PromptBytes, 256)
	c.Burst = orElse(c.Burst, 1)
	if c.Timeout == 0 {
		c.Timeout = time.Minute
		if c.Kind == Batch {
			c.Timeout = time.Hour
		}
	}
	if c.Concurrency == 0 {
		c.Concurrency = 64
		if c.Rate > 0 {
			c.Concurrency = mostUnderWay
		}
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
}

// Check says everything that is wrong with c, nil if nothing is.
func (c *Config) Check() error {
	whole := *c
	whole.setDefaults()
	_, err := whole.check()
	return err
}

// check returns the URL, or everything that is wrong. The defaults are set.
func (c *Config) check() (*url.URL, error) {
	var faults []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	u, err := url.Parse(strings.TrimRight(c.URL, "/"))
	fault(err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https", "url %q is none: write it like http://127.0.0.1:8080/v1", c.URL)
	fault(c.Kind != Plain && c.Kind != Stream && c.Kind != Kept && c.Kind != Batch, "kind %q is none of plain, stream, kept, batch", c.Kind)
	fault(c.Verify != Model && c.Verify != Echo && c.Verify != Shape && c.Verify != Off, "verify %q is none of model, echo, shape, off", c.Verify)
	fault(c.Model == "", "no model is named")
	fault(!(answer.Spec{Pieces: c.Tokens, Size: c.Size}).Valid(), "an answer of %d tokens of %d bytes is too large or none", c.Tokens, c.Size)
	fault(c.PromptBytes < 0 || c.PromptBytes > 64<<20, "a prompt has at most 64 MB")
	fault(c.Concurrency < 0, "concurrency %d is negative", c.Concurrency)
	fault(c.Rate < 0 || c.Burst < 1, "a rate is not negative, and a burst at least 1")
	fault(c.Burst > 1 && c.Rate == 0, "a burst needs a rate: how many requests per second there are on average")
	fault(c.Requests < 0 || c.Duration < 0 || c.Warmup < 0 || c.Ramp < 0 || c.Timeout < 0, "a time or a number is negative")
	fault(c.Kind == Batch && c.Requests == 0, "a batch needs the number of its requests")
	fault(c.Kind == Batch && c.Rate > 0, "a batch has no rate")
	fault(c.Requests == 0 && c.Duration == 0, "the run needs a duration or a number of requests")
	fault(c.Duration > 0 && c.Warmup >= c.Duration, "the warm-up of %s leaves nothing of the run of %s", c.Warmup, c.Duration)
	for _, h := range c.Header {
		name, _, ok := strings.Cut(h, ":")
		fault(!ok || name == "" || strings.ContainsAny(h, "\r\n"), "header %q is not of the form Name: value", h)
	}
	fault(strings.ContainsAny(c.Key, "\r\n"), "the key has a line break in it")
	return u, errors.Join(faults...)
}

func orElse(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}
