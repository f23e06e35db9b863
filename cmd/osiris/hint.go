package main

import (
	"strings"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
)

// createHint is the command that makes a key in the queue that a command with these
// flags uses: without them the key would land in another one. dir is its data folder;
// empty means the default one, or none.
func createHint(common *service.CommonFlags, dir string, environ []string) string {
	words := []string{"osiris keys create --name NAME"}
	add := func(flag, value string) {
		if value != "" {
			words = append(words, flag, shellWord(value))
		}
	}
	add("--config", common.Config)
	if usual, err := config.DefaultDataDir(environ); err != nil || dir != usual {
		add("--data-dir", dir)
	}
	if strings.Contains(common.NATSURL, "@") {
		words = append(words, "--nats-url URL") // it holds a password
	} else {
		add("--nats-url", common.NATSURL)
	}
	add("--nats-creds", common.NATSCreds)
	add("--nats-tls-ca", common.NATSCA)
	add("--nats-tls-cert", common.NATSCert)
	add("--nats-tls-key", common.NATSKey)
	add("--namespace", common.Namespace)
	return strings.Join(words, " ")
}

// shellWord quotes s for a shell if it needs that.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:,=@%", r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
