package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/osiris/osiris/internal/client"
	"github.com/osiris/osiris/internal/service"
)

// apiFlags say which server a command talks to.
type apiFlags struct {
	BaseURL string `name:"base-url" help:"Base URL of the API (OSIRIS_BASE_URL, OPENAI_BASE_URL, http://127.0.0.1:8080/v1)." placeholder:"URL"`
	APIKey  string `name:"api-key" help:"API key (OSIRIS_API_KEY, OPENAI_API_KEY). The variable is safer: others see the arguments of a process." placeholder:"KEY"`
}

// client returns a client of the server that flags and environment name.
func (f *apiFlags) client(std service.IO) (*client.Client, error) {
	env := environment(std.Environ)
	cfg := client.Config{
		BaseURL: firstOf(f.BaseURL, env["OSIRIS_BASE_URL"], env["OPENAI_BASE_URL"]),
		Key:     firstOf(f.APIKey, env["OSIRIS_API_KEY"]),
		Agent:   name + "/" + service.Version(),
		Waiting: func(err error, wait time.Duration) {
			if wait > time.Second {
				fmt.Fprintf(std.Stderr, "%s: %s; trying again in %s\n", name, strings.TrimSuffix(err.Error(), "."), wait.Round(100*time.Millisecond))
			}
		},
	}
	if cfg.Key == "" && env["OSIRIS_BASE_URL"] == "" { // OpenAI's key is not for just any server
		cfg.Key = env["OPENAI_API_KEY"]
	}
	return client.New(cfg)
}

// with calls f with a client and turns its error into text and an exit code.
func (f *apiFlags) with(std service.IO, do func(*client.Client) error) int {
	c, err := f.client(std)
	if err != nil {
		fmt.Fprintf(std.Stderr, "%s: %v\n", name, err)
		return exitUsage
	}
	defer c.Close()
	return exitOf(do(c), c.Explain, std)
}

// atMost is how many of something to list.
type atMost int

// Validate reports a number of which there is no list.
func (n atMost) Validate() error {
	if n < 1 {
		return errors.New("must be 1 or more")
	}
	return nil
}

// exitError is an error that chose its exit code. Without a text it was told already.
type exitError struct {
	code int
	text string
}

// Error implements error.
func (e *exitError) Error() string { return e.text }

// exitOf says what went wrong, if anything, and returns the exit code.
func exitOf(err error, explain func(error) string, std service.IO) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, service.ErrSignal) {
		return exitInterrupted
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		if e.text != "" {
			fmt.Fprintf(std.Stderr, "%s: %s\n", name, e.text)
		}
		return e.code
	}
	fmt.Fprintf(std.Stderr, "%s: %s\n", name, explain(err))
	return exitFailed
}

// environment returns the variables by name; the last of several counts.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// newKey returns a fresh Idempotency-Key.
func newKey() string { return name + "-" + rand.Text() }

// requestOptions are members of a request as people write them: JSON, or else text.
func requestOptions(options map[string]string) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(options))
	for member, text := range options {
		if json.Valid([]byte(text)) {
			out[member] = json.RawMessage(text)
			continue
		}
		quoted, err := json.Marshal(text)
		if err == nil { // text always can be
			out[member] = quoted
		}
	}
	return out
}

// printJSON writes v for programs.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
