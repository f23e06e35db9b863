package main

import (
	"testing"

	"github.com/osiris/osiris/internal/service"
)

func TestCreateHint(t *testing.T) {
	environ := []string{"XDG_DATA_HOME=/home/u/data", "HOME=/home/u"}
	const begin = "osiris keys create --name NAME"
	for _, c := range []struct {
		flags     service.CommonFlags
		dir, want string
	}{
		{dir: "/home/u/data/osiris", want: ""},
		{dir: "", want: ""},
		{dir: "/srv/x", want: " --data-dir /srv/x"},
		{dir: "it's here", want: ` --data-dir 'it'\''s here'`},
		{flags: service.CommonFlags{Config: "a.yaml", Namespace: "blue"}, dir: "d", want: " --config a.yaml --data-dir d --namespace blue"},
		{flags: service.CommonFlags{NATSURL: "nats://a:4222"}, want: " --nats-url nats://a:4222"},
		{flags: service.CommonFlags{NATSURL: "nats://u:secret@a:4222"}, want: " --nats-url URL"},
	} {
		if got := createHint(&c.flags, c.dir, environ); got != begin+c.want {
			t.Errorf("got %s, want %s%s", got, begin, c.want)
		}
	}
}
