package echo

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	maxTokens = 1_000_000
	maxBytes  = 64 << 20
	maxCalls  = 128
)

// failure is how an answer fails.
type failure struct {
	status int  // HTTP status of an error; 0: none
	cut    bool // the answer ends early
	hang   bool // nothing more comes
	after  int  // tokens before it
	wait   time.Duration
	text   string
}

func (f *failure) wanted() bool { return f.status != 0 || f.cut || f.hang }

// knobs are what a request asks of the model beyond the API.
type knobs struct {
	first, delay time.Duration
	text         *string
	repeat       int // 0: once
	tokens       int // 0: as many as there are
	big          int
	reasoning    string
	refusal      string
	tool         string
	args         string
	calls        int // 0: one
	finish       string
	noUsage      bool
	fail         failure
}

// setters has a function for each knob; an error says what is wanted.
func setters() map[string]func(k *knobs, v string) error {
	return map[string]func(k *knobs, v string) error{
		"first":       func(k *knobs, v string) error { return parseDuration(&k.first, v) },
		"delay":       func(k *knobs, v string) error { return parseDuration(&k.delay, v) },
		"text":        func(k *knobs, v string) error { k.text = &v; return nil },
		"repeat":      func(k *knobs, v string) error { return parseCount(&k.repeat, v, 1, maxTokens) },
		"tokens":      func(k *knobs, v string) error { return parseCount(&k.tokens, v, 1, maxTokens) },
		"big":         func(k *knobs, v string) error { return parseCount(&k.big, v, 1, maxBytes) },
		"reasoning":   func(k *knobs, v string) error { k.reasoning = v; return nil },
		"refusal":     func(k *knobs, v string) error { k.refusal = v; return nil },
		"tool":        func(k *knobs, v string) error { k.tool = v; return nil },
		"args":        func(k *knobs, v string) error { k.args = v; return nil },
		"calls":       func(k *knobs, v string) error { return parseCount(&k.calls, v, 1, maxCalls) },
		"finish":      func(k *knobs, v string) error { k.finish = v; return nil },
		"usage":       func(k *knobs, v string) error { return parseSwitch(&k.noUsage, v) },
		"error":       func(k *knobs, v string) error { return k.fail.parse(v) },
		"after":       func(k *knobs, v string) error { return parseCount(&k.fail.after, v, 0, maxTokens) },
		"retry_after": func(k *knobs, v string) error { return parseDuration(&k.fail.wait, v) },
		"message":     func(k *knobs, v string) error { k.fail.text = v; return nil },
	}
}

// parseKnobs reads the knobs in a model's name and in metadata. The error is for the client.
func parseKnobs(model string, metadata map[string]string) (knobs, *protocol.Error) {
	var k knobs
	if !strings.Contains(model, "?") && len(metadata) == 0 {
		return k, nil
	}
	set := setters()
	if _, query, ok := strings.Cut(model, "?"); ok {
		values, err := url.ParseQuery(query)
		if err != nil {
			return k, protocol.ErrInvalid("model", "invalid_value", "Invalid knobs in 'model': not a query such as echo?first=2s&delay=20ms.")
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if err := k.apply(set, "model", name, values.Get(name)); err != nil {
				return k, err
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		name, ok := strings.CutPrefix(key, "echo_")
		if !ok {
			continue
		}
		if err := k.apply(set, "metadata."+key, name, metadata[key]); err != nil {
			return k, err
		}
	}
	return k, nil
}

func (k *knobs) apply(set map[string]func(*knobs, string) error, param, name, value string) *protocol.Error {
	f, ok := set[name]
	if !ok {
		return protocol.ErrInvalid(param, "invalid_value", "Unknown knob '%s' of the model echo. Knobs are: %s.",
			name, strings.Join(slices.Sorted(maps.Keys(set)), ", "))
	}
	if err := f(k, value); err != nil {
		return protocol.ErrInvalid(param, "invalid_value", "Invalid value '%s' of the knob '%s' of the model echo: expected %s.", value, name, err)
	}
	return nil
}

func (f *failure) parse(v string) error {
	switch v {
	case "cut":
		f.cut = true
	case "hang":
		f.hang = true
	default:
		n, err := strconv.Atoi(v)
		if err != nil || n < 400 || n > 599 {
			return errors.New("a status from 400 to 599, cut or hang")
		}
		f.status = n
	}
	return nil
}

func parseDuration(d *time.Duration, v string) error {
	got, err := time.ParseDuration(v)
	if err != nil || got < 0 || got > 24*time.Hour {
		return errors.New("a duration such as 20ms or 2s")
	}
	*d = got
	return nil
}

func parseCount(n *int, v string, least, most int) error {
	got, err := strconv.Atoi(v)
	if err != nil || got < least || got > most {
		return fmt.Errorf("a number from %d to %d", least, most)
	}
	*n = got
	return nil
}

func parseSwitch(off *bool, v string) error {
	switch v {
	case "off", "false", "0":
		*off = true
	case "on", "true", "1":
		*off = false
	default:
		return errors.New("on or off")
	}
	return nil
}
