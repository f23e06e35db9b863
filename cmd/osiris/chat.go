package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/osiris/osiris/internal/client"
	"github.com/osiris/osiris/internal/service"
)

// chat is osiris chat.
type chat struct {
	apiFlags `embed:""`

	Prompt []string          `arg:"" optional:"" help:"What to ask. Without it: standard input; on a terminal, a conversation."`
	Model  string            `help:"Model to ask (OSIRIS_MODEL)." placeholder:"NAME" short:"m"`
	System string            `help:"System message." placeholder:"TEXT" short:"s"`
	Stream bool              `help:"Show the answer as it comes." default:"true" negatable:""`
	Store  bool              `help:"Have the server keep the answer, so that a broken connection costs nothing." default:"true" negatable:""`
	Talk   bool              `help:"A conversation, line by line, also when the input is no terminal." name:"interactive" short:"i"`
	Option map[string]string `help:"Further members of the request, such as temperature=0.2." placeholder:"NAME=VALUE" short:"o"`
}

func (c *chat) run(ctx context.Context, std service.IO) int {
	signal.Ignore(syscall.SIGPIPE) // a reader that has enough must not end the program before the job is cancelled
	defer signal.Reset(syscall.SIGPIPE)
	return c.with(std, func(api *client.Client) error {
		model := firstOf(c.Model, environment(std.Environ)["OSIRIS_MODEL"])
		if model == "" {
			return c.whichModel(ctx, api)
		}
		talk := &conversation{api: api, model: model, flags: c, out: &transcript{out: std.Stdout, notes: std.Stderr}}
		if c.System != "" {
			talk.turns = append(talk.turns, client.Message{Role: "system", Content: c.System})
		}
		if len(c.Prompt) > 0 {
			return talk.say(ctx, strings.Join(c.Prompt, " "))
		}
		if std.Stdin == nil {
			return &exitError{exitUsage, "there is no prompt: write one behind osiris chat, or pipe one in"}
		}
		if c.Talk || isTerminal(std.Stdin) {
			return talk.loop(ctx, std)
		}
		prompt, err := io.ReadAll(std.Stdin)
		if err != nil {
			return fmt.Errorf("read prompt: %w", err)
		}
		if strings.TrimSpace(string(prompt)) == "" {
			return &exitError{exitUsage, "the prompt is empty"}
		}
		return talk.say(ctx, strings.TrimRight(string(prompt), "\r\n"))
	})
}

// whichModel says which models there are to choose from.
func (c *chat) whichModel(ctx context.Context, api *client.Client) error {
	names, err := api.Models(ctx)
	if err != nil {
		return err
	}
	return &exitError{exitUsage, "which model? Name one with --model or OSIRIS_MODEL: " + models(names)}
}

// conversation is what was said so far.
type conversation struct {
	api   *client.Client
	model string
	flags *chat
	out   *transcript
	turns []client.Message
}

// say asks and writes the answer as it comes, ending with a line break.
func (t *conversation) say(ctx context.Context, prompt string) error {
	turns := append(t.turns, client.Message{Role: "user", Content: prompt})
	answer, err := t.api.Ask(ctx, client.Chat{
		Model: t.model, Messages: turns, Stream: t.flags.Stream, Store: t.flags.Store,
		Key: newKey(), Options: requestOptions(t.flags.Option),
	}, client.Listener{Say: t.out.say, Lost: t.out.lost, Anew: t.out.anew, Ending: t.out.ending})
	switch err = errors.Join(err, t.out.endLine()); {
	case err == nil:
	case ctx.Err() != nil, errors.Is(err, syscall.EPIPE):
		if answer.Pending {
			t.out.left(t.api.BaseURL(), answer.ID)
		}
		if ctx.Err() == nil {
			return &exitError{exitUnread, ""}
		}
		return err
	case answer.Pending:
		return mayStillCome(err, t.api.BaseURL()+"/chat/completions/"+answer.ID)
	default:
		return err
	}
	t.turns = append(turns, client.Message{Role: "assistant", Content: answer.Text})
	return nil
}

// loop talks until the input ends. What fails is told, and can be asked again.
func (t *conversation) loop(ctx context.Context, std service.IO) error {
	fmt.Fprintf(std.Stderr, "%s at %s. An empty line does nothing, /new forgets what was said, Ctrl-D ends.\n", t.model, t.api.BaseURL())
	first := len(t.turns)
	lines := readLines(ctx, std.Stdin)
	for {
		fmt.Fprint(std.Stderr, "> ")
		var line string
		select {
		case <-ctx.Done():
			fmt.Fprintln(std.Stderr)
			return context.Cause(ctx)
		case text, ok := <-lines:
			if !ok {
				fmt.Fprintln(std.Stderr)
				return nil
			}
			line = strings.TrimSpace(text)
		}
		switch line {
		case "":
		case "/new":
			t.turns = t.turns[:first]
		default:
			if err := t.say(ctx, line); err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				fmt.Fprintf(std.Stderr, "%s: %s\n", name, t.api.Explain(err))
			}
		}
	}
}

// readLines sends the lines of r until its end or that of ctx. A read from a terminal
// cannot be interrupted: its goroutine ends with the process.
func readLines(ctx context.Context, r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		in := bufio.NewReader(r)
		for {
			line, err := in.ReadString('\n')
			if line != "" {
				select {
				case lines <- line:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}
