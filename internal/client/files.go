package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// File is a stored file.
type File struct {
	ID       string `json:"id"`
	Bytes    int64  `json:"bytes"`
	Filename string `json:"filename"`
	Purpose  string `json:"purpose"`
}

// Upload says what to store.
type Upload struct {
	Name    string // as listed
	Purpose string
	Size    int64
	Open    func() (io.ReadCloser, error) // called again when the connection broke
	Key     string                        // Idempotency-Key
	Sent    func(bytes int64)             // told as bytes leave; nil: nobody is told
}

// Upload stores a file. It is streamed, and sent anew from its beginning if the
// connection breaks.
func (c *Client) Upload(ctx context.Context, u Upload) (*File, error) {
	// The boundary, of at most 70 characters, follows from the key: a repetition has the same bytes.
	sum := sha256.Sum256([]byte("boundary of " + u.Key))
	boundary := "osiris-" + hex.EncodeToString(sum[:16])
	head := "--" + boundary + "\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n" + u.Purpose +
		"\r\n--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + quotedName(u.Name) +
		"\"\r\nContent-Type: application/octet-stream\r\n\r\n"
	tail := "\r\n--" + boundary + "--\r\n"
	r := request{
		method: http.MethodPost, path: "files", contentType: "multipart/form-data; boundary=" + boundary, key: u.Key,
		body: func() (io.ReadCloser, int64, error) {
			file, err := u.Open()
			if err != nil {
				return nil, 0, fmt.Errorf("upload: %w", err)
			}
			counted := &counter{r: io.LimitReader(file, u.Size), tell: u.Sent}
			body := io.MultiReader(strings.NewReader(head), counted, strings.NewReader(tail))
			return &closing{body, file}, int64(len(head)) + u.Size + int64(len(tail)), nil
		},
	}
	p := c.patience()
	for {
		var f File
		err := c.once(ctx, r, &f)
		if err == nil {
			return &f, nil
		}
		if err := p.wait(ctx, err); err != nil {
			return nil, fmt.Errorf("upload: %w", err)
		}
	}
}

// quotedName escapes a file's name as browsers do.
func quotedName(name string) string {
	return strings.NewReplacer("\r", "%0D", "\n", "%0A", `"`, "%22").Replace(name)
}

// closing is a reader over part of something that must be closed.
type closing struct {
	io.Reader
	io.Closer
}

// counter tells how much was read of r.
type counter struct {
	r    io.Reader
	n    int64
	tell func(int64)
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.tell != nil {
		c.tell(c.n)
	}
	return n, err
}
