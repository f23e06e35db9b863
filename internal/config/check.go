package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// checkText verifies a string by the name of its kind (the check tag).
func checkText(kind, text string) *problem {
	switch kind {
	case "name":
		return checkName(text)
	case "model":
		return checkModel(text)
	case "listen":
		return checkListen(text)
	case "url":
		return checkURL(text, "http", "https")
	case "nats":
		return checkNATS(text)
	case "file":
		return checkFile(text)
	case "sync":
		return checkSync(text)
	case "header":
		return checkHeader(text)
	case "windows":
		return checkWindows(text)
	case "variable":
		if !isVariable(text) {
			return &problem{"is not the name of a variable", "write the name alone, such as OPENAI_API_KEY, not the key"}
		}
	}
	return nil
}

func checkName(text string) *problem {
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return &problem{fmt.Sprintf("%q is no name", text), "use letters, digits, - and _ only: it becomes part of NATS subjects"}
		}
	}
	if len(text) > 64 {
		return &problem{"is longer than 64 bytes", "shorten it"}
	}
	return nil
}

func checkModel(text string) *problem {
	if text == "" || len(text) > 256 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return &problem{fmt.Sprintf("%q is no model name", text), "use up to 256 bytes without blanks"}
	}
	return nil
}

func checkListen(text string) *problem {
	if text == "off" {
		return nil
	}
	const remedy = "write host:port, such as 127.0.0.1:8080, or :8080 for every interface"
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return &problem{fmt.Sprintf("%q is no address", text), remedy}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return &problem{fmt.Sprintf("%q is no port", port), "use 0 to 65535"}
	}
	return nil
}

func checkURL(text string, schemes ...string) *problem {
	u, err := url.Parse(text)
	example := schemes[0] + "://host"
	if err != nil {
		return &problem{"is no URL", "write it like " + example}
	}
	known := false
	for _, s := range schemes {
		known = known || u.Scheme == s
	}
	switch {
	case !known && u.Host == "":
		return &problem{fmt.Sprintf("%q has no scheme", URL(text)), "write it like " + example}
	case !known:
		return &problem{fmt.Sprintf("scheme %q is not supported", u.Scheme), "use " + strings.Join(schemes, " or ")}
	case u.Host == "":
		return &problem{fmt.Sprintf("%q has no host", URL(text)), "write it like " + example}
	}
	return nil
}

func checkNATS(text string) *problem {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if !strings.Contains(part, "://") {
			part = "nats://" + part // as the NATS client reads it
		}
		if p := checkURL(part, "nats", "tls", "ws", "wss"); p != nil {
			return p
		}
	}
	return nil
}

func checkFile(text string) *problem {
	f, err := os.Open(text)
	if err != nil {
		return &problem{"cannot be read: " + err.Error(), "check the path and its permissions"}
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return &problem{text + " is a folder", "name a file in it"}
	}
	return nil
}

func checkSync(text string) *problem {
	if text == "always" {
		return nil
	}
	if d, err := time.ParseDuration(text); err != nil || d < time.Millisecond {
		return &problem{fmt.Sprintf("%q is neither always nor a duration", text), "write always, or at least 1ms, such as 1s"}
	}
	return nil
}

func checkWindows(text string) *problem {
	for _, w := range (Batches{Windows: text}).WindowList() {
		if window(w) == 0 {
			return &problem{fmt.Sprintf("%q is no completion window", w), "write a number of m, h or d, such as 24h; several with commas between"}
		}
	}
	return nil
}

// window reads a completion window; 0 is a malformed one.
func window(text string) time.Duration {
	for unit, length := range map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour} {
		if digits, found := strings.CutSuffix(text, unit); found {
			n, err := strconv.ParseUint(digits, 10, 16)
			if err != nil {
				return 0
			}
			return time.Duration(n) * length
		}
	}
	return 0
}

func checkHeader(text string) *problem {
	for _, r := range text {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) {
			return &problem{fmt.Sprintf("%q is no HTTP header", text), "use letters, digits and -"}
		}
	}
	if text == "" {
		return &problem{"a header without a name", "name it"}
	}
	return nil
}

func isVariable(text string) bool {
	for i, r := range text {
		letter := r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return text != ""
}
