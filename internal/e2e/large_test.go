package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

const (
	bodyLimit = 32 << 20
	imageSize = 20 << 20
)

// TestLargeBodies: prompts beyond what a message of the queue holds arrive whole, and
// nothing of them stays.
func TestLargeBodies(t *testing.T) {
	heavy(t, "it moves hundreds of megabytes") // and not in parallel: others count seconds
	s := start(t, options{env: []string{fmt.Sprintf("OSIRIS_FRONTEND_MAX_BODY=%d", bodyLimit)}})
	prompt := strings.Repeat("żółw🐢\n\"", 5<<20/13)
	for _, stream := range []bool{false, true} {
		if err := s.send(t.Context(), chat("up/words", prompt, stream), stream, prompt); err != nil {
			t.Errorf("5 MB prompt, stream %t: %v", stream, err)
		}
	}
	s.model.on("image", func(c *upstreamCall) {
		c.chat.Messages[0].Content = json.RawMessage(quoted(sum(imageOf(c.body))))
		repeatWords(c)
	})
	url := "data:image/png;base64," + base64.StdEncoding.EncodeToString(noise(imageSize))
	body := chat("up/image", "", true, object{"messages": []object{{"role": "user", "content": []object{
		{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": object{"url": url}},
	}}}})
	if err := s.send(t.Context(), body, true, sum(url)); err != nil {
		t.Errorf("20 MB image: %v", err)
	}
	s.idle(t, "words", "image")
	eventually(t, 2*soon, "the bodies are gone", func(ctx context.Context) error {
		stream, err := s.queue.js.Stream(ctx, "osiris-bodies")
		if err != nil {
			return err
		}
		if n := stream.CachedInfo().State.Msgs; n > 0 {
			return fmt.Errorf("%d parts are left", n)
		}
		return nil
	})
}

// imageOf is the picture in a request, as its URL.
func imageOf(body []byte) string {
	var r struct {
		Messages []struct {
			Content []struct {
				Image struct {
					URL string `json:"url"`
				} `json:"image_url"`
			} `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(body, &r); err != nil || len(r.Messages) != 1 || len(r.Messages[0].Content) != 2 {
		return "no picture"
	}
	return r.Messages[0].Content[1].Image.URL
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// noise cannot be compressed.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

// TestBodyLimit: a body beyond the limit is refused in so many words, however it
// comes, and one that is compressed is measured as it inflates.
func TestBodyLimit(t *testing.T) {
	heavy(t, "it moves hundreds of megabytes") // and not in parallel: others count seconds
	s := start(t, options{env: []string{fmt.Sprintf("OSIRIS_FRONTEND_MAX_BODY=%d", bodyLimit)}})
	small := chat("up/words", hello, false)
	huge := chat("up/words", strings.Repeat("x", bodyLimit), false)
	for name, tc := range map[string]struct {
		body     []byte
		encoding string
		status   int
	}{
		"huge":              {huge, "", 413},
		"gzip":              {squeeze(t, small), "gzip", 200},
		"gzip of huge":      {squeeze(t, huge), "gzip", 413},
		"bomb":              {squeeze(t, make([]byte, 10*bodyLimit)), "gzip", 413},
		"bomb in a request": {squeeze(t, chat("up/words", strings.Repeat("x", 6*bodyLimit), false)), "gzip", 413},
		"not gzip":          {small, "gzip", 400},
		"cut gzip":          {squeeze(t, small)[:20], "gzip", 400},
		"unknown encoding":  {small, "br", 415},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", name, chunked), func(t *testing.T) {
				status, body := s.upload(t, tc.body, tc.encoding, chunked)
				if status != tc.status {
					t.Errorf("status %d, want %d: %s", status, tc.status, short(body))
				}
				if _, err := readRefusal(body); err != nil && tc.status != http.StatusOK {
					t.Error(err)
				}
			})
		}
	}
	s.idle(t, "words")
	if err := s.send(t.Context(), small, false, hello); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// upload sends a body, with its length or without.
func (c *client) upload(t *testing.T, body []byte, encoding string, chunked bool) (status int, answer string) {
	t.Helper()
	var from io.Reader = bytes.NewReader(body)
	if chunked {
		from = io.MultiReader(from) // hides the length
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/chat/completions", from)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func squeeze(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(b)
	if cerr := w.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	return out.Bytes()
}
