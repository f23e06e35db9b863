package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/osiris/osiris/internal/service"
)

// welcome tells a person what runs and what to do next. A new key is shown here and
// nowhere else; keysCreate is the command for another one.
func welcome(w io.Writer, info service.Info, served []string, keysCreate string) {
	url := "http://" + service.Reachable(info.API)
	var b strings.Builder
	fmt.Fprintf(&b, "Osiris is ready.\n\n")
	fmt.Fprintf(&b, "  API      %s/v1\n", url)
	fmt.Fprintf(&b, "  Models   %s\n", models(served))
	if info.DataDir != "" {
		fmt.Fprintf(&b, "  Data     %s\n", info.DataDir)
	}
	if info.Admin != nil {
		fmt.Fprintf(&b, "  Admin    http://%s/readyz, /metrics\n", service.Reachable(info.Admin))
	}
	switch {
	case info.NewKey == "":
		fmt.Fprintf(&b, "  Keys     kept from before; another one: %s\n", keysCreate)
	case info.Preset:
		fmt.Fprintf(&b, "  API key  the one in OSIRIS_BOOTSTRAP_KEY\n")
		curl(&b, url, "$OSIRIS_BOOTSTRAP_KEY")
	default:
		fmt.Fprintf(&b, "  API key  %s   (shown only now: keep it)\n", info.NewKey)
		curl(&b, url, info.NewKey)
	}
	b.WriteString("\n")
	_, _ = io.WriteString(w, b.String()) // a closed terminal must not stop the server
}

func curl(b *strings.Builder, url, key string) {
	fmt.Fprintf(b, `
Try it:

curl %s/v1/chat/completions -H "Authorization: Bearer %s" -H "Content-Type: application/json" -d '{"model":"echo","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'
`, url, key)
}

func models(names []string) string {
	if len(names) == 0 {
		return "none configured"
	}
	const shown = 8
	if rest := len(names) - shown; rest > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), rest)
	}
	return strings.Join(names, ", ")
}
